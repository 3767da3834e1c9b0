"""Markdown of a tagged PDF page: its structure tree says what is a heading, a list, a table, and in which order they are read.

The tree is believed about what it covers. Text that it does not mention stays where PDFium reads it, and no text comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.pdf_structure_table import rows_of, spread
from syncd.pipeline.parse.pdf_structure_text import (
    ClaimedText,
    PlacedText,
    RunningHeads,
    as_link,
    block_of_content,
    in_one_line,
    inner_elements,
    is_block,
    joined_texts,
    marked_as,
)
from syncd.pipeline.parse.pdfium_structure import Element
from syncd.pipeline.parse.pdfium_text import ARTIFACT, UNTAGGED, PageContent

MIN_COVERED = 0.8
"""Share of a page's characters that its tree must mention to be followed."""

_TELLING = re.compile(r"H\d*|Title|L|Table")
_HEADING = re.compile(r"H(\d*)|Title")
_MARKS = {"Strong": "**", "Em": "*", "Code": "`"}
_MAX_HEADING_CHARACTERS = 300
_MARKER = re.compile(r"\s*(?:[^\w\s(\[\"'`*<-]|[-o*](?=\s)|(\d{1,3}[.)])(?=\s))\s*")


def tells(elements: Iterable[Element]) -> bool:
    """Say whether a tree knows headings, lists or tables: one of paragraphs alone says less than the page's looks."""
    return any(_TELLING.fullmatch(kind) for element in elements for kind in element.kinds())


def structured(elements: Sequence[Element], content: PageContent, number: int, heads: RunningHeads) -> str:
    """Return the Markdown of page `number`; '' where the tree covers too little of it."""
    leaf_of = block_of_content(elements)
    counted = [(run.owner in leaf_of, sum(map(str.isalnum, run.text))) for run in content.runs if run.owner != ARTIFACT]
    if sum(size for known, size in counted if known) < MIN_COVERED * max(sum(size for _, size in counted), 1):
        return ""
    text = ClaimedText(content.runs, leaf_of, heads)
    return "\n\n".join(_Page(elements, text, dict(content.pictures), number).blocks())


class _Page:
    def __init__(self, elements: Sequence[Element], text: ClaimedText, pictures: dict[int, int], number: int) -> None:
        self._elements = elements
        self._text = text
        self._pictures = pictures
        self._number = number
        self._taken: list[int] = []

    def blocks(self) -> Iterator[str]:
        """Yield the page's blocks."""
        yield from self._text.unclaimed_behind((UNTAGGED,))
        yield from self._blocks(self._elements, 1)
        yield from self._rest(self._elements)

    def _blocks(self, children: Sequence[Element | int], section: int) -> Iterator[str]:
        """Yield the blocks of a container: what stands between blocks makes paragraphs."""
        inline: list[Element | int] = []
        for child in children:
            if isinstance(child, int) or not is_block(child):
                inline.append(child)
                continue
            yield from self._followed(self._paragraph(inline))
            inline = []
            yield from self._block(child, section)
        yield from self._followed(self._paragraph(inline))

    def _block(self, element: Element, section: int) -> Iterator[str]:
        kind = element.kind
        if heading := _HEADING.fullmatch(kind):
            yield from self._followed(self._heading(element, int(heading[1] or (1 if kind == "Title" else section))))
        elif kind == "L":
            yield from self._followed(gfm.items(self._items(element, 0)))
        elif kind == "Table":
            yield from self._followed(self._table(element))
        elif kind == "BlockQuote":
            quoted = "\n\n".join(self._blocks(element.children, section))
            yield "\n".join(f"> {line}".rstrip() for line in quoted.split("\n")) if quoted else ""
        elif kind == "P" and not any(map(is_block, inner_elements(element))):
            yield from self._followed(gfm.paragraph(self._line(element.children)))
        else:
            yield from self._blocks(element.children, section + (kind == "Sect"))
        yield from self._rest((element,))

    def _followed(self, block: str) -> Iterator[str]:
        """Yield a block and the text of nobody that stands behind what is in it."""
        if block.strip():
            yield block
        taken, self._taken = self._taken, []
        yield from self._text.unclaimed_behind(taken)

    def _rest(self, elements: Sequence[Element]) -> Iterator[str]:
        """Yield what a table or list held in no cell or item."""
        left = [identity for element in elements for identity in element.content() if identity in self._text]
        yield from self._followed(gfm.paragraph(self._line(left)))

    def _heading(self, element: Element, level: int) -> str:
        text = self._line(element.children).replace("**", "")
        return gfm.heading(level, text) if len(text) <= _MAX_HEADING_CHARACTERS else gfm.paragraph(text)

    def _paragraph(self, children: Sequence[Element | int]) -> str:
        code = _only_code(children)
        if code is None:
            return gfm.paragraph(self._line(children))
        pieces = [piece for child in code.children for piece in self._inside(child, marked=False)]
        lines = [line.rstrip() for line in joined_texts(pieces).text.strip("\r\n").split("\n")]
        fence = "`" * (1 + max([2, *(len(found) for found in re.findall("`+", "\n".join(lines)))]))
        return "\n".join([fence, *lines, fence]) if any(lines) else ""

    def _line(self, children: Sequence[Element | int], marked: bool = True) -> str:
        pieces = [piece for child in children for piece in self._inside(child, marked)]
        return in_one_line(joined_texts(pieces).text)

    def _inside(self, child: Element | int, marked: bool) -> Iterator[PlacedText]:
        """Yield the pieces of what stands in a line. Each piece comes once."""
        if isinstance(child, int):
            self._taken.append(child)
            for piece in self._text.take(child):
                yield replace(piece, text=as_link(piece.text, piece.link)) if marked and piece.link else piece
            return
        if child.kind == "Figure" or child.alt:
            yield from self._figure(child)
        link = child.kind == "Link"
        pieces = [piece for inner in child.children for piece in self._inside(inner, marked and not link)]
        if not pieces:
            return
        whole = joined_texts(pieces)
        if marked and link:
            whole = replace(whole, text=as_link(whole.text, next((piece.link for piece in pieces if piece.link), "")))
        elif marked and child.kind in _MARKS:
            whole = replace(whole, text=marked_as(whole.text, _MARKS[child.kind]))
        yield whole

    def _figure(self, figure: Element) -> Iterator[PlacedText]:
        drawn = next((self._pictures.pop(at) for at in figure.content() if at in self._pictures), None)
        alt = gfm.picture(figure.alt)
        if drawn is not None:
            alt = (alt or "![]()")[:-1] + f"img_p{self._number}_{drawn}.png)"
        if alt:
            yield PlacedText(f" {alt} ", -1, -1)

    def _items(self, element: Element, depth: int) -> Iterator[str]:
        """Yield the lines of a list."""
        for child in element.children:
            if isinstance(child, int):
                continue
            if child.kind == "L":
                yield from self._items(child, depth + 1)
            elif child.kind == "LI" or not any(inner.kind == "LI" for inner in inner_elements(child)):
                yield from self._item(child, depth)
            else:
                yield from self._items(child, depth)

    def _item(self, element: Element, depth: int) -> Iterator[str]:
        label, texts, nested = "", list[str](), list[str]()
        inline: list[Element | int] = []
        for child in (*_opened(element), Element("P")):
            if isinstance(child, int) or not is_block(child):
                if isinstance(child, Element) and child.kind == "Lbl":
                    label = label or self._line(child.children, marked=False)
                else:
                    inline.append(child)
                continue
            texts.append(self._paragraph(inline))
            inline = []
            if child.kind == "L":
                nested += self._items(child, depth + 1)
            else:
                texts.append(self._table(child) if child.kind == "Table" else self._line(child.children))
        text = "\n".join(filter(None, texts))
        if not label and (marker := _MARKER.match(text)):
            label, text = marker[1] or "", text[marker.end() :]
        label = label if any(map(str.isalnum, label)) and label != "o" else ""
        if text or label:
            yield gfm.labelled_item(text, depth, label)
        yield from nested

    def _table(self, element: Element) -> str:
        def text(cell: Element) -> str:
            lines = [self._cell_line(group) for group in _groups(cell)]
            return "\n".join(filter(None, lines))

        rows = spread([[(text(cell), cell.columns, cell.rows) for cell in row] for row in rows_of(element)])
        caption = self._line([child for child in inner_elements(element) if child.kind == "Caption"])
        if len(rows) == 1 and len(rows[0]) == 1:
            return gfm.paragraph(rows[0][0])
        return "\n\n".join(filter(None, (caption, gfm.table(rows))))

    def _cell_line(self, group: Sequence[Element | int]) -> str:
        return self._line(group).replace("```", "`")


def _opened(element: Element) -> Iterator[Element | int]:
    """Yield what an item holds, its body opened."""
    for child in element.children:
        if isinstance(child, Element) and child.kind == "LBody":
            yield from _opened(child)
        else:
            yield child


def _groups(cell: Element) -> Iterator[list[Element | int]]:
    """Yield what stands in the lines of a cell."""
    inline: list[Element | int] = []
    for child in cell.children:
        if isinstance(child, Element) and is_block(child):
            yield inline
            inline = []
            yield from _groups(child)
        else:
            inline.append(child)
    yield inline


def _only_code(children: Sequence[Element | int]) -> Element | None:
    """Return the code that is all a paragraph holds."""
    while len(children) == 1 and isinstance(child := children[0], Element):
        if child.kind == "Code":
            return child
        children = child.children
    return None
