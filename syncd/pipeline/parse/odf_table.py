"""Tables of OpenDocument files as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from syncd.pipeline.parse import gfm

TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_MAX_REPEATED = 256
_ROW_GROUPS = frozenset({TABLE + name for name in ("table-header-rows", "table-rows", "table-row-group")})


def table_element(table: Element, text_of: Callable[[Element], str]) -> str:
    """Return a table; merged cells repeat their text, so that every row can be understood alone.

    `text_of` returns what stands in a cell.
    """
    grid: list[list[str]] = []
    for row in _rows(table):
        out: list[str] = []
        spanning = 0
        for cell in row:
            repeated = min(int(cell.get(TABLE + "number-columns-repeated", "1")), _MAX_REPEATED)
            if cell.tag == TABLE + "covered-table-cell":
                above = grid[-1][len(out)] if grid and len(out) < len(grid[-1]) else ""
                text = out[-1] if out and spanning > 0 else above
                spanning -= repeated
            elif cell.tag == TABLE + "table-cell":
                text = text_of(cell)
                spanning = int(cell.get(TABLE + "number-columns-spanned", "1")) - 1
            else:
                continue
            out += [text] * repeated
        grid.append(out)
    while grid and not any(grid[-1]):
        grid.pop()
    return gfm.table(grid)


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        if child.tag == TABLE + "table-row":
            yield child
        elif child.tag in _ROW_GROUPS:
            yield from _rows(child)
