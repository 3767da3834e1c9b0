"""liteparse's reading of a page, with the tables that horizontal rules show in place of what it took their words for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.pdf_columns import PdfLine, in_rows
from syncd.pipeline.parse.pdf_rule_table import RuledTable, tables_of
from syncd.pipeline.parse.pdf_rules import RuleLine, ruled, rules

if TYPE_CHECKING:
    from liteparse.types import AnnotationRect, LayoutBlock, ParsedPage, VectorGraphics

_GOES_ON = "\0"
"""Before an item that follows another one."""
_MAX_WORDS = 10_000
_MAX_LINKS = 200
_MAX_LOST = 0.02
_HIGH = 1.0


def with_ruled_tables(page: ParsedPage) -> str:
    """Return a page's Markdown with its ruled tables; '' where it has none or where words would be lost."""
    if page.vector_graphics is None or page.blocks is None:
        return ""
    groups = list(ruled(rules(list(_segments(page.vector_graphics)))))
    words = list(_words(page)) if groups else []
    if not words or len(words) > _MAX_WORDS:
        return ""
    candidates = [
        table for group in groups for table in tables_of(group, words) if not _boxed(table, page.vector_graphics)
    ]
    tables: list[RuledTable] = []
    for table in candidates:
        if not any(table.meets(other) for other in tables):
            tables.append(table)
    if not tables:
        return ""
    text = "\n\n".join(filter(None, _blocks(page.blocks, tables, words))).replace(f"\n\n{_GOES_ON}", "\n")
    wanted = Counter(character for word in words for character in word.text if character.isalnum())
    kept = wanted & Counter(filter(str.isalnum, text))
    return text if sum(kept.values()) >= (1 - _MAX_LOST) * sum(wanted.values()) else ""


def _segments(graphics: VectorGraphics) -> Iterator[RuleLine]:
    for line in graphics.lines:
        if abs(line.y1 - line.y2) <= _HIGH:
            yield min(line.x1, line.x2), max(line.x1, line.x2), line.y1, line.stroke_width or 1.0
    for shape in graphics.shapes:
        x, y, width, height = shape.bbox
        if width > height:
            yield x, x + width, y + height / 2, height


def _boxed(table: RuledTable, graphics: VectorGraphics) -> bool:
    """Say whether lines run down inside a table: liteparse reads such grids well."""
    upright = [line for line in graphics.lines if abs(line.x1 - line.x2) <= _HIGH < abs(line.y1 - line.y2)]
    return any(table.holds((line.x1 + line.x2) / 2, (line.y1 + line.y2) / 2) for line in upright)


def _words(page: ParsedPage) -> Iterator[PdfLine]:
    from liteparse.types import WordBox

    links = [(note.rect, note.uri) for note in page.annotations or () if note.rect and note.uri][:_MAX_LINKS]
    for item in page.text_items:
        if item.rotation:
            continue
        height = item.font_size or item.height
        for word in item.words or [WordBox(item.text.strip(), item.x, item.y, item.width, item.height)]:
            placed = PdfLine(word.text, word.x, word.y, word.width, height)
            link = next((uri for box, uri in links if _in(placed, box)), "")
            yield replace(placed, link=link) if link else placed


def _blocks(blocks: Sequence[LayoutBlock], tables: Sequence[RuledTable], words: Sequence[PdfLine]) -> Iterator[str]:
    """Yield blocks, each table where the first of its words stood."""
    left = list(tables)
    in_list = False
    for block in blocks:
        box = block.bbox
        inside = [word for word in words if box and _in(word, box)]
        touched = [table for table in tables if any(table.holds(*_middle(word)) for word in inside)]
        for table in touched:
            if table in left:
                left.remove(table)
                yield table.markdown()
        outside = [word for word in inside if not any(table.holds(*_middle(word)) for table in tables)]
        if touched:
            yield gfm.paragraph(" ".join(word.text for row in in_rows(outside) for word in row))
        elif not (block.kind == "rule" and box and any(table.holds(box.x + box.width / 2, box.y) for table in tables)):
            goes_on = in_list and block.kind == "list_item"
            yield _GOES_ON * goes_on + _rendered(block)
        in_list = block.kind == "list_item" and not touched
    yield from (table.markdown() for table in left)


def _middle(word: PdfLine) -> tuple[float, float]:
    return word.x + word.width / 2, word.y + word.height / 2


def _in(word: PdfLine, box: AnnotationRect) -> bool:
    across, down = _middle(word)
    return box.x <= across <= box.x + box.width and box.y <= down <= box.y + box.height


def _rendered(block: LayoutBlock) -> str:
    text = block.text or ""
    match block.kind:
        case "heading":
            return gfm.heading(block.level or 1, text)
        case "list_item":
            return "  " * (block.level or 0) + f"{block.marker if block.ordered else '-'} {text}"
        case "code" | "grid_fallback":
            return "\n".join(["```" + (block.lang or ""), *(block.lines or ()), "```"])
        case "table":
            rows = [block.header or [], *(block.rows or ())]
            return gfm.table([[cell.text for cell in row] for row in rows])
        case "figure":
            return f"![](img_{block.id}.{block.format})"
        case "rule":
            return "---"
        case _:
            return f"**{text}**" if block.bold and "**" not in text else text
