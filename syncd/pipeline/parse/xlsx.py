"""Excel workbooks (ECMA-376): the cells of their sheets as they are shown, read as a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.parsers import expat

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.archive import Package
from syncd.pipeline.parse.number_format import GENERAL, formatted
from syncd.pipeline.parse.sheet_rows import SHEET_MAX_COLUMNS, SheetCells, SheetRow
from syncd.pipeline.parse.task import Task
from syncd.pipeline.parse.xlsx_parts import (
    ADDRESS,
    S,
    behind_cells,
    column_of,
    format_codes,
    ranges,
    shared_strings,
    unescaped,
)

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_FEED_BYTES = 64 << 10
_HYPERLINK = re.compile(r'HYPERLINK\("([^"]+)"', re.IGNORECASE)


class Workbook:
    """One workbook. Raises PermanentError: damaged."""

    def __init__(self, package: Package, task: Task) -> None:
        self._package = package
        self._task = task
        root = package.xml("xl/workbook.xml")
        assert root is not None
        properties = root.find(S + "workbookPr")
        self._from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        self._relations = package.relations("xl/workbook.xml")
        self._entries = list(root.iter(S + "sheet"))
        targets = dict(self._relations.values())
        self._strings = shared_strings(package.xml(targets.get("sharedStrings", "")))
        self._codes = format_codes(package.xml(targets.get("styles", "")))

    def sheets(self) -> Iterator[SheetCells]:
        """Yield the visible sheets in order; say which are hidden."""
        for entry in self._entries:
            name = entry.get("name", "")
            if entry.get("state", "visible") != "visible":
                self._task.warn("hidden_content", f"sheet {name!r} is hidden and was left out")
                continue
            kind, member = self._relations.get(entry.get(_R + "id", ""), ("", ""))
            data = self._package.xml_bytes(member) if kind == "worksheet" else None
            yield SheetCells(name, iter(())) if data is None else self._sheet(name, member, data)

    def _sheet(self, name: str, member: str, data: bytes) -> SheetCells:
        rest = behind_cells(data)
        addresses = {
            ident: target for ident, (kind, target) in self._package.relations(member).items() if kind == "hyperlink"
        }
        reader = _Cells(self._task, name, self._strings, self._codes, self._from_1904)
        for link in rest.iter(S + "hyperlink") if rest is not None else ():
            if target := addresses.get(link.get(_R + "id", "")):
                for place in ranges(link.get("ref", "")):
                    reader.links[place.top, place.left] = target
        # Rows that a filter hides are there: it is a way of looking at them.
        is_filtered = rest is not None and rest.find(f"{S}autoFilter/{S}filterColumn") is not None
        reader.skips_hidden = not is_filtered
        merged = [
            place
            for cell in (rest.iter(S + "mergeCell") if rest is not None else ())
            for place in ranges(cell.get("ref", ""))
        ]
        return SheetCells(name, reader.rows(data), merged)


class _Cells:
    """Reads one sheet's cells: expat's handlers, and what they have gathered."""

    def __init__(self, task: Task, sheet: str, strings: Sequence[str], codes: Sequence[str], from_1904: bool) -> None:
        self.links: dict[tuple[int, int], str] = {}
        self.skips_hidden = True
        self._task = task
        self._sheet = sheet
        self._strings = strings
        self._codes = codes
        self._from_1904 = from_1904
        self._done: list[SheetRow] = []
        self._cells: dict[int, str] = {}
        self._hidden_columns: list[tuple[int, int]] = []
        self._row = self._column = -1
        self._is_hidden = False
        self._kind = self._style = ""
        self._text: list[str] | None = None
        self._value = self._formula = self._inline = ""
        self._phonetic = False

    def rows(self, data: bytes) -> Iterator[SheetRow]:
        """Yield the rows with text. Raises PermanentError when the XML is not well-formed."""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        try:
            for start in range(0, len(data), _FEED_BYTES):
                parser.Parse(data[start : start + _FEED_BYTES], start + _FEED_BYTES >= len(data))
                yield from self._done
                self._done.clear()
        except (expat.ExpatError, KeyError, ValueError) as error:
            raise PermanentError(
                f"{self._task.name} is damaged: sheet {self._sheet!r} is not well-formed ({error})"
            ) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name == "c":
            match = ADDRESS.fullmatch(attributes.get("r", ""))
            self._column = column_of(match[1]) if match else self._column + 1
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "0")
            self._value = self._formula = self._inline = ""
        elif name in ("v", "f", "t"):
            self._text = []
        elif name == "rPh":
            self._phonetic = True
        elif name == "row":
            number = attributes.get("r", "")
            self._row = int(number) - 1 if number.isdigit() else self._row + 1
            self._column, self._cells = -1, {}
            self._is_hidden = self.skips_hidden and attributes.get("hidden") in ("1", "true")
        elif name == "col" and attributes.get("hidden") in ("1", "true"):
            first, last = (int(attributes[end]) - 1 for end in ("min", "max"))
            self._hidden_columns.append((first, last))

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name in ("v", "f", "t"):
            text, self._text = "".join(self._text or ()), None
            if name == "v":
                self._value = unescaped(text)
            elif name == "f":
                self._formula = text or "…"
            elif not self._phonetic:
                self._inline += unescaped(text)
        elif name == "rPh":
            self._phonetic = False
        elif name == "c":
            self._cell()
        elif name == "row":
            self._end_row()

    def _cell(self) -> None:
        text = self._shown().strip()
        if not text or self._column >= SHEET_MAX_COLUMNS:
            return
        if any(first <= self._column <= last for first, last in self._hidden_columns):
            self._task.warn(
                "hidden_content", f"column {self._column + 1} of sheet {self._sheet!r} is hidden and was left out"
            )
            return
        link = self.links.get((self._row, self._column)) or _address(self._formula)
        self._cells[self._column] = gfm.link(text, link) if link else text

    def _shown(self) -> str:
        """Return what the cell shows."""
        if self._kind == "inlineStr":
            return self._inline
        if self._kind == "s":
            return (
                self._strings[int(self._value)]
                if self._value.isdigit() and int(self._value) < len(self._strings)
                else ""
            )
        if not self._value:
            return self._without_value()
        if self._kind == "b":
            return "TRUE" if self._value == "1" else "FALSE"
        return self._value if self._kind in ("str", "e", "d") else self._number()

    def _without_value(self) -> str:
        if not self._formula or self._kind == "str":
            return ""
        place = f"row {self._row + 1}, column {self._column + 1} of sheet {self._sheet!r}"
        self._task.warn("formula_without_value", f"the formula in {place} was never computed: it stands for its value")
        return f"={self._formula}"

    def _number(self) -> str:
        try:
            value = float(self._value)
        except ValueError:
            return self._value
        code = (
            self._codes[int(self._style)] if self._style.isdigit() and int(self._style) < len(self._codes) else GENERAL
        )
        return formatted(value, code, from_1904=self._from_1904) if abs(value) < float("inf") else self._value

    def _end_row(self) -> None:
        if not self._cells:
            return
        if self._is_hidden:
            self._task.warn(
                "hidden_content", f"row {self._row + 1} of sheet {self._sheet!r} is hidden and was left out"
            )
        else:
            self._done.append(SheetRow(self._row, self._cells))


def _address(formula: str) -> str:
    match = _HYPERLINK.match(formula) if formula else None
    return match[1] if match and ("://" in match[1] or match[1].startswith("mailto:")) else ""
