"""Makes the tables of a page such as pipe tables can write."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

from turbohtml import Document, Element

CELLS = ("td", "th")
TABLE_MAX_COLUMNS = 100
MAX_REPEATED_CHARACTERS = 300
MIN_GRID_COLUMNS = 2


class Reaching(NamedTuple):
    """A cell that reaches into so many more rows; None in the further columns of a wide one."""

    cell: Element | None
    rows: int

    def again(self) -> Element:
        """Return a cell for the next row; what is long is not repeated."""
        if self.cell is None or len(self.cell.text) > MAX_REPEATED_CHARACTERS:
            return Element("td")
        return deepcopy(self.cell)


def settle_tables(root: Element) -> None:
    """Give all rows of a table the same number of cells; a cell over several columns is followed by empty ones, one over
    several rows stands in each, so that each can be understood alone.

    Pipe tables know no spans and no ragged rows, and the renderer writes a table that has any as HTML.
    """
    settle_grids(root)
    for table in root.select("table"):
        rows = [row for row in table.select("tr") if row.closest("table") == table]
        below: dict[int, Reaching] = {}
        for row in rows:
            below = settle_row(row, below)
        widths = [sum(cell.tag in CELLS for cell in elements_in(row)) for row in rows]
        widest = max(widths, default=0)
        for row, width in zip(rows, widths, strict=True):
            for _ in range(widest - width):
                row.append(Element("td"))


def settle_grids(root: Element) -> None:
    """Make tables of those that javadoc lays out by style alone: blocks in a row, the first of which are headers."""
    for grid in root.select(".summary-table"):
        cells = elements_in(grid)
        width = sum("table-header" in (cell.attr("class") or "").split() for cell in cells)
        if width < MIN_GRID_COLUMNS or len(cells) % width:
            continue
        table = Element("table")
        for at in range(0, len(cells), width):
            row = Element("tr")
            for cell in cells[at : at + width]:
                made = Element("td" if at else "th")
                cell.wrap(made)
                cell.unwrap()
                row.append(made)
            table.append(row)
        grid.replace_with(table)


def settle_row(row: Element, above: dict[int, Reaching]) -> dict[int, Reaching]:
    """Fill a row up where cells `above` reach into it; return which of its columns reach further down, and how far."""
    below = {column: cell._replace(rows=cell.rows - 1) for column, cell in above.items() if cell.rows > 1}
    column = 0
    for cell in [child for child in elements_in(row) if child.tag in CELLS]:
        while column in above and column < TABLE_MAX_COLUMNS:
            cell.insert_before(above[column].again())
            column += 1
        width, height = span_of(cell, "colspan"), span_of(cell, "rowspan")
        for _ in range(width - 1):
            cell.insert_after(Element("td"))
        if height > 1:
            below[column] = Reaching(cell, height - 1)
            below.update(dict.fromkeys(range(column + 1, column + width), Reaching(None, height - 1)))
        column += width
    while column in above and column < TABLE_MAX_COLUMNS:
        row.append(above[column].again())
        column += 1
    return below


def elements_in(parent: Document | Element) -> list[Element]:
    """Return the child elements."""
    return [child for child in parent.children if isinstance(child, Element)]


def span_of(cell: Element, name: str) -> int:
    """Return how many columns or rows a cell covers, and take that from it."""
    text = (cell.attr(name) or "").strip()
    if name in cell.attrs:
        del cell.attrs[name]
    return min(max(1, int(text)), TABLE_MAX_COLUMNS) if text.isdigit() and len(text) < 6 else 1
