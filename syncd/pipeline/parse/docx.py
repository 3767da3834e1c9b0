"""Word documents: the body walked in order, with styles, lists, tables, text boxes, pictures, equations and footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.archive import Package, open_package
from syncd.pipeline.parse.charts import chart_table
from syncd.pipeline.parse.docx_parts import chunk_blocks, comments, without_deleted
from syncd.pipeline.parse.docx_styles import Styles
from syncd.pipeline.parse.docx_text import Inline, Media
from syncd.pipeline.parse.docx_xml import VAL, W, value
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_PART_BYTES = 1 << 20
_PLAIN_NUMBER = re.compile(r"\d{1,9}\.")


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the document in parts of about a megabyte. Raises PermanentError when damaged or over its limits."""
    with open_package(task.path, task.name, task.limits) as package:
        main = _main_part(package)
        root = package.xml(main)
        body = root.find(W + "body") if root is not None else None
        if body is None:
            raise PermanentError(f"{task.name} is damaged: it has no document body")
        yield from _Walker(package, main, body, task).pieces(body)


def _main_part(package: Package) -> str:
    kinds = package.relations("")
    return next((target for kind, target in kinds.values() if kind == "officeDocument"), "word/document.xml")


class _Walker:
    def __init__(self, package: Package, main: str, body: Element, task: Task) -> None:
        folder = main.rpartition("/")[0]
        self._package = package
        self._relations = package.relations(main)
        self._styles = Styles.load(package.xml(f"{folder}/styles.xml"), package.xml(f"{folder}/numbering.xml"))
        self._pictures = Pictures(task)
        self._out = Markdown(task.limits)
        self._notes: list[tuple[str, str]] = []
        self._comments = comments(package.xml(f"{folder}/comments.xml"))
        self._commented: list[str] = []
        self._task = task
        self._page = 1
        self._note_parts = {kind: package.xml(f"{folder}/{kind}s.xml") for kind in ("footnote", "endnote")}
        self._shift = self._has_title(body)

    def _has_title(self, body: Element) -> int:
        paragraphs = (paragraph.find(W + "pPr") for paragraph in body.iter(W + "p"))
        return int(any(self._styles.heading(properties) == 0 for properties in paragraphs))

    def pieces(self, body: Element) -> Iterator[ParsedPiece]:
        paged = next(body.iter(W + "lastRenderedPageBreak"), None) is not None
        marked = 0
        for block in self._blocks(body):
            if paged and marked != self._page:
                marked = self._page
                self._out.page(marked)
            self._out.block(block)
            for data in self._pictures.taken():
                self._out.picture(data)
            if self._out.size_bytes > _PART_BYTES or self._pictures.tiring():
                yield self._out.take()
        # a note may hold notes, which are added while these are written
        for label, text in self._notes:
            self._out.block(f"[^{label}]: {text}")
        yield self._out.take()

    def _blocks(self, container: Element) -> Iterator[str]:
        """Yield the Markdown blocks of a body, cell or text box; lists and code come as one block each.

        A paragraph without text is a blank block: a picture in it is described there.
        """
        held: list[str] = []
        mode = ""
        for child in without_deleted(self._flat(container)):
            if child.tag == W + "altChunk":
                yield from _closed(mode, held)
                held, mode = [], ""
                yield from chunk_blocks(self._package, self._relations.get(child.get(_R_ID, "")), self._task)
                continue
            kind, text, boxes = self._paragraph(child) if child.tag == W + "p" else ("table", "", [])
            if kind != mode or kind not in ("list", "code", "quote"):
                yield from _closed(mode, held)
                held, mode = [], kind
            if child.tag == W + "tbl":
                yield from self._table(child)
            elif kind in ("list", "code", "quote"):
                held.append(text)
            elif child.tag == W + "p":
                yield text
            yield from boxes
        yield from _closed(mode, held)

    def _flat(self, container: Element) -> Iterator[Element]:
        """Yield paragraphs and tables, looking through content controls, custom XML and tracked changes."""
        for child in container:
            if child.tag in (W + "p", W + "tbl", W + "altChunk"):
                yield child
            elif child.tag == W + "sdt":
                content = child.find(W + "sdtContent")
                yield from self._flat(content) if content is not None else ()
            elif child.tag in (W + "customXml", W + "ins", W + "moveTo"):
                yield from self._flat(child)

    def _paragraph(self, paragraph: Element) -> tuple[str, str, list[str]]:
        """Return the paragraph's kind, its Markdown, and the blocks of what floats in it."""
        properties = paragraph.find(W + "pPr")
        level = self._styles.heading(properties)
        code = self._styles.is_code(properties)
        inline = Inline(self._media(), plain=level is not None or code)
        text = inline.text(paragraph)
        self._page += inline.breaks
        boxes = [block for box in inline.boxes for block in self._box(box)]
        boxes += [f"$${equation}$$" for equation in inline.equations]
        boxes += [self._comments[identity] for identity in self._commented if identity in self._comments]
        self._commented.clear()
        if code:
            return "code", text, boxes
        text = text.strip()
        if not text:
            return "text", "", boxes
        number = self._styles.number(properties)
        if level is not None:
            text = f"{number[1]} {text}" if number and number[1] else text
            return "heading", gfm.heading(level + self._shift if level else 1, text), boxes
        if number is not None:
            depth, label = number
            return "list", _item(depth, label, gfm.ticked(text)), boxes
        if text.startswith(("[x] ", "[ ] ")):
            return "list", _item(0, "", text), boxes
        if self._styles.is_quote(properties):
            return "quote", text, boxes
        return "text", gfm.paragraph(text), boxes

    def _box(self, box: Element) -> Iterator[str]:
        if box.tag == W + "txbxContent":
            yield from self._blocks(box)
        elif (chart := self._relations.get(box.get(_R_ID, ""))) is not None:
            yield from chart_table(self._package.xml(chart[1]))

    def _media(self) -> Media:
        return Media(self._package, self._relations, self._pictures, self._note, self._commented.append)

    def _note(self, kind: str, identity: str) -> str:
        """Return a note's label and keep its text for the end."""
        root = self._note_parts.get(kind)
        for note in root if root is not None else ():
            if note.get(W + "id") == identity:
                label = str(len(self._notes) + 1)
                self._notes.append((label, ""))
                text = " ".join(filter(None, self._blocks(note)))
                self._notes[int(label) - 1] = (label, text)
                return label
        return ""

    def _table(self, table: Element) -> Iterator[str]:
        """Yield a table; one of a single cell is layout and yields what is in it."""
        rows = list(_rows(table))
        cells = [cell for row in rows for cell in _cells(row)]
        if len(cells) == 1:
            yield from self._blocks(cells[0])
            return
        grid: list[list[str]] = []
        for row in rows:
            grid.append(self._row(row, grid[-1] if grid else []))
        yield gfm.table(grid)

    def _row(self, row: Element, above: list[str]) -> list[str]:
        """Return a row's texts; merged cells repeat theirs, so that every row can be understood alone."""
        skipped = value(row, "trPr", "gridBefore")
        out: list[str] = [""] * min(int(skipped or 0), _MAX_COLUMNS)
        for cell in _cells(row):
            properties = cell.find(W + "tcPr")
            span = value(properties, "gridSpan") or "1"
            merged = properties.find(W + "vMerge") if properties is not None else None
            if merged is not None and merged.get(VAL) != "restart" and len(out) < len(above):
                text = above[len(out)]
            else:
                text = "\n".join(filter(None, self._blocks(cell)))
            out += [text] * min(max(int(span) if span.isdigit() else 1, 1), _MAX_COLUMNS)
        return out


_MAX_COLUMNS = 256
_R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def _rows(table: Element) -> Iterator[Element]:
    return (row for row in _inside(table, W + "tr") if row.find(f"{W}trPr/{W}del") is None)


def _cells(row: Element) -> Iterator[Element]:
    return (cell for cell in _inside(row, W + "tc") if cell.find(f"{W}tcPr/{W}cellDel") is None)


def _inside(parent: Element, tag: str) -> Iterator[Element]:
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag in (W + "sdt", W + "sdtContent", W + "customXml", W + "ins"):
            yield from _inside(child, tag)


def _item(depth: int, label: str, text: str) -> str:
    """Return a list item: Markdown's own number where it is one, another in front of the text."""
    indent = "    " * depth
    sign = label if _PLAIN_NUMBER.fullmatch(label) else f"- {label}".rstrip()
    return f"{indent}{sign} " + text.replace("\n", f"\n{indent}  ")


def _closed(mode: str, held: Iterable[str]) -> Iterator[str]:
    lines = list(held)
    if not lines:
        return
    if mode == "code":
        yield "```\n" + "\n".join(lines) + "\n```"
    elif mode == "quote":
        yield "\n>\n".join("> " + line.replace("\n", "\n> ") for line in lines)
    else:
        yield gfm.items(lines)
