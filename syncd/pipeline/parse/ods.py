"""OpenDocument spreadsheets: their cells as the texts that they show, which the files themselves hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.archive import Package
from syncd.pipeline.parse.flat_odf import FlatPackage
from syncd.pipeline.parse.sheet_rows import SHEET_MAX_COLUMNS, Range, SheetCells, SheetRow
from syncd.pipeline.parse.task import Task

_MAX_REPEATED = 1_000
"""How often a filled row or cell is repeated at most; files say so of what is filled to the end of the sheet."""
_TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_STYLE = "urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_CREATOR = "http://purl.org/dc/elements/1.1/}creator"
_HREF = "http://www.w3.org/1999/xlink}href"
_CELLS = (_TABLE + "table-cell", _TABLE + "covered-table-cell")
_FORMULA_PREFIX = re.compile(r"^\w+:(?==)")

Attributes = Mapping[str, str]


def sheets(package: Package | FlatPackage, task: Task) -> list[SheetCells]:
    """Return the visible sheets in order; say which are hidden. Raises PermanentError: damaged, encrypted."""
    if b"encryption-data" in (package.read("META-INF/manifest.xml") or b""):
        raise PermanentError(f"{task.name} is encrypted: save it without a password")
    content = _Content(task)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = content.start, content.end
    parser.CharacterDataHandler = content.characters
    try:
        parser.Parse(package.read("content.xml") or b"", True)
    except expat.ExpatError as error:
        raise PermanentError(f"{task.name} is damaged: its content is not well-formed ({error})") from error
    return content.sheets


@dataclass(slots=True)
class _Cell:
    """The cell at work. `lines` are its paragraphs so far, `note` is whether a comment is being read."""

    attributes: Attributes = field(default_factory=dict[str, str])
    lines: list[str] = field(default_factory=list[str])
    note: list[str] = field(default_factory=list[str])
    in_note: bool = False


class _Content:
    """expat's handlers, and what they have gathered."""

    def __init__(self, task: Task) -> None:
        self.sheets: list[SheetCells] = []
        self._task = task
        self._hidden_styles: set[str] = set()
        self._style = ""
        self._is_hidden = False
        self._depth = 0
        self._rows: list[SheetRow] = []
        self._merged: list[Range] = []
        self._row = self._column = self._columns = 0
        self._row_attributes: Attributes = {}
        self._hidden_columns: set[int] = set()
        self._cells: dict[int, str] = {}
        self._cell: _Cell | None = None
        self._text: list[str] | None = None
        self._link = ("", 0)
        self._starts: dict[str, Callable[[Attributes], Any]] = {
            _TABLE + "table": self._start_table,
            _TABLE + "table-row": self._start_row,
            _TABLE + "table-column": self._start_column,
            _STYLE + "style": self._start_style,
            _STYLE + "table-properties": self._table_properties,
        }

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle a start tag."""
        if begin := self._starts.get(tag):
            begin(attributes)
        elif tag in _CELLS:
            self._cell = _Cell(attributes)
        elif self._cell is not None:
            self._start_text(tag, attributes)

    def end(self, tag: str) -> None:
        """Handle an end tag."""
        if tag == _TABLE + "table":
            self._end_table()
        elif tag == _TABLE + "table-row":
            self._end_row()
        elif tag in _CELLS and self._cell is not None:
            self._end_cell(self._cell)
        elif self._cell is not None:
            self._end_text(self._cell, tag)

    def characters(self, text: str) -> None:
        """Handle text."""
        if self._text is not None:
            self._text.append(text)

    def _start_style(self, attributes: Attributes) -> None:
        self._style = attributes.get(_STYLE + "name", "")

    def _table_properties(self, attributes: Attributes) -> None:
        if attributes.get(_TABLE + "display") == "false":
            self._hidden_styles.add(self._style)

    def _start_table(self, attributes: Attributes) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        name = attributes.get(_TABLE + "name", "")
        self._is_hidden = attributes.get(_TABLE + "style-name", "") in self._hidden_styles
        if self._is_hidden:
            self._task.warn("hidden_content", f"sheet {name!r} is hidden and was left out")
        self._rows, self._merged, self._hidden_columns = [], [], set()
        self._row = self._columns = 0
        sheet = SheetCells(name, iter(self._rows), self._merged)
        if not self._is_hidden:
            self.sheets.append(sheet)

    def _end_table(self) -> None:
        self._depth -= 1

    def _start_column(self, attributes: Attributes) -> None:
        count = min(_number(attributes, "number-columns-repeated"), SHEET_MAX_COLUMNS)
        if attributes.get(_TABLE + "visibility") == "collapse":
            self._hidden_columns |= set(range(self._columns, self._columns + count))
        self._columns += count

    def _start_row(self, attributes: Attributes) -> None:
        self._row_attributes, self._cells, self._column = attributes, {}, 0

    def _end_row(self) -> None:
        count = _number(self._row_attributes, "number-rows-repeated")
        # Rows that a filter hides are there: it is a way of looking at them.
        if self._cells and self._row_attributes.get(_TABLE + "visibility") == "collapse" and not self._is_hidden:
            where = f"row {self._row + 1} of sheet {self.sheets[-1].name!r}"
            self._task.warn("hidden_content", f"{where} is hidden and was left out")
        elif self._cells and not self._is_hidden:
            self._rows += [SheetRow(self._row + at, self._cells) for at in range(min(count, _MAX_REPEATED))]
        self._row += count

    def _end_cell(self, cell: _Cell) -> None:
        self._cell = None
        count = min(_number(cell.attributes, "number-columns-repeated"), SHEET_MAX_COLUMNS)
        text = "\n".join(cell.lines).strip() or self._without_text(cell.attributes)
        for column in range(
            self._column, min(self._column + min(count, _MAX_REPEATED), SHEET_MAX_COLUMNS) if text else 0
        ):
            if column in self._hidden_columns:
                self._task.warn("hidden_content", f"column {column + 1} of a sheet is hidden and was left out")
            else:
                self._cells[column] = text
        down, right = (
            _number(cell.attributes, "number-rows-spanned"),
            _number(cell.attributes, "number-columns-spanned"),
        )
        if text and (down > 1 or right > 1):
            self._merged.append(Range(self._row, self._column, self._row + down - 1, self._column + right - 1))
        if cell.note and self.sheets and not self._is_hidden:
            self.sheets[-1].comments.append(
                f"Comment on {_letters(self._column)}{self._row + 1}: {' '.join(cell.note)}"
            )
        self._column += count

    def _without_text(self, attributes: Attributes) -> str:
        """Return the value of a cell that shows none, or its formula where it was never computed."""
        if value := attributes.get(_OFFICE + "value") or attributes.get(_OFFICE + "string-value"):
            return value
        formula = attributes.get(_TABLE + "formula", "")
        if not formula or attributes.get(_OFFICE + "value-type") or self._is_hidden:
            return ""
        place = f"row {self._row + 1}, column {self._column + 1} of sheet {self.sheets[-1].name!r}"
        self._task.warn("formula_without_value", f"the formula in {place} was never computed: it stands for its value")
        return _FORMULA_PREFIX.sub("", formula)

    def _start_text(self, tag: str, attributes: Attributes) -> None:
        assert self._cell is not None
        if tag == _OFFICE + "annotation":
            self._cell.in_note = True
        elif tag == _TEXT + "p" or tag == _CREATOR:
            self._text = []
        elif self._text is not None and tag == _TEXT + "a":
            self._link = attributes.get(_HREF, ""), len(self._text)
        elif self._text is not None and tag in (_TEXT + "s", _TEXT + "tab"):
            self._text.append(" ")
        elif self._text is not None and tag == _TEXT + "line-break":
            self._text.append("\n")

    def _end_text(self, cell: _Cell, tag: str) -> None:
        if tag == _OFFICE + "annotation":
            cell.in_note = False
        elif tag == _CREATOR:
            self._text = None
        elif tag == _TEXT + "p" and self._text is not None:
            (cell.note if cell.in_note else cell.lines).append("".join(self._text))
            self._text = None
        elif tag == _TEXT + "a" and self._text is not None and self._link[0][:1] not in ("", "#"):
            address, start = self._link
            self._text[start:] = [gfm.link("".join(self._text[start:]), address)]


def _number(attributes: Attributes, name: str) -> int:
    text = attributes.get(_TABLE + name, "1")
    return max(int(text), 1) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _letters(column: int) -> str:
    """Return a column's letters: A, B, …, Z, AA."""
    column, rest = divmod(column, 26)
    return (_letters(column - 1) if column else "") + chr(65 + rest)
