"""What on a sheet belongs together: one table for each area. Spacer columns and blank rows stay within, and are not shown. Pure.

An area ends at two blank rows or columns, or at one where what follows has a header of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from syncd.pipeline.parse.sheet_rows import SheetRow

Grid = list[list[str]]
_VALUE = re.compile(r"[-+(]?[^\w\s]{0,3} ?\d[\d.,:/ -]{0,40}(?: ?[^\w\s]{0,3}\)?)?|TRUE|FALSE")
_GAP = 2
"""So many blank rows or columns part two areas, however many more there are."""


def areas(rows: Sequence[SheetRow]) -> Iterator[Grid]:
    """Yield the areas of a sheet, top to bottom, then left to right, without blank rows and columns. Every cell is in one."""
    yield from _areas(compact(rows))


def compact(rows: Sequence[SheetRow]) -> Grid:
    """Return the cells as a grid in which longer gaps are two rows or columns: no sheet is larger than what is on it."""
    columns = _places(sorted({column for row in rows for column in row.cells}))
    numbers = _places([row.number for row in rows])
    width = max(columns.values(), default=-1) + 1
    grid: Grid = [[""] * width for _ in range(max(numbers.values(), default=-1) + 1)]
    for row in rows:
        for column, text in row.cells.items():
            grid[numbers[row.number]][columns[column]] = text
    return grid


def _places(ascending: Sequence[int]) -> Mapping[int, int]:
    found: dict[int, int] = {}
    at, last = -1, -1
    for number in ascending:
        at += min(number - last, _GAP + 1) if found else 1
        found[number], last = at, number
    return found


def _areas(grid: Grid) -> Iterator[Grid]:
    """Split by rows, then by columns, until nothing splits any more."""
    bands = list(_bands(grid))
    for band in bands:
        sides = _sides(band)
        if len(sides) > 1:
            for side in sides:
                yield from _areas(side)
        else:
            yield from _without_titles(_filled(band))


def _bands(grid: Grid) -> Iterator[Grid]:
    """Yield the bands of rows that belong together."""
    band: Grid = []
    blank = 0
    for at, row in enumerate(grid):
        if not any(row):
            blank += 1
            continue
        if band and blank and (blank >= _GAP or _begins(band, grid[at:])):
            yield band
            band = []
        elif band:
            band += [[""] * len(row)] * blank
        band.append(row)
        blank = 0
    if band:
        yield band


def _begins(above: Grid, below: Grid) -> bool:
    """Return whether a table begins after one blank row: `above` is a title, or what follows is wider or has its own header."""
    block = _until_blank(below)
    if sum(bool(text) for row in above for text in row) == 1:
        return True
    if len(block) == 1 and len(block) == len([row for row in below if any(row)]) and _count(block[0]) == 1:
        return True
    (left, right), (start, end) = _extent(above), _extent(block)
    if start < left or end > right:
        return True
    header = block[0]
    fills = all(header[at] for at in range(start, end + 1)) and end > start
    return fills and len(block) > 1 and not any(map(is_value, header)) and any(map(is_value, block[1]))


def _until_blank(grid: Grid) -> Grid:
    return grid[: next((at for at, row in enumerate(grid) if not any(row)), len(grid))]


def _extent(grid: Grid) -> tuple[int, int]:
    filled = [at for row in grid for at, text in enumerate(row) if text]
    return min(filled), max(filled)


def _count(row: Sequence[str]) -> int:
    return sum(map(bool, row))


def _sides(band: Grid) -> list[Grid]:
    """Return the tables that stand side by side in a band; one where there is nothing but spacers between columns."""
    blank = [not any(row[at] for row in band) for at in range(len(band[0]))]
    left, right = _extent(band)
    start, at = left, left
    sides: list[Grid] = []
    while at <= right:
        if not blank[at]:
            at += 1
            continue
        end = next(place for place in range(at, right + 1) if not blank[place])
        before, after = [row[start:at] for row in band], [row[end : right + 1] for row in band]
        if _are_two(before, after, end - at):
            sides.append(before)
            start = end
        at = end
    return [*sides, [row[start : right + 1] for row in band]]


def _are_two(before: Grid, after: Grid, gap: int) -> bool:
    """Return whether a gap of blank columns parts two tables. A single column of labels or values belongs to what is beside it."""
    if min(_columns(before), _columns(after)) < 2:
        return False
    return gap >= _GAP or _reach(before) != _reach(after)


def _columns(grid: Grid) -> int:
    return sum(any(row[at] for row in grid) for at in range(len(grid[0])))


def _reach(grid: Grid) -> tuple[int, int]:
    """Return the first and the last row with text."""
    filled = [at for at, row in enumerate(grid) if any(row)]
    return filled[0], filled[-1]


def _filled(band: Grid) -> Grid:
    """Return the band without blank rows and columns."""
    columns = [at for at in range(len(band[0])) if any(row[at] for row in band)]
    return [[row[at] for at in columns] for row in band if any(row)]


def _without_titles(grid: Grid) -> Iterator[Grid]:
    """Yield the lines over a table that are no header, each alone, then the table."""
    at = 0
    while len(grid[0]) > 2 and at + 2 < len(grid) and len({text for text in grid[at] if text}) == 1:
        if _count(grid[at]) not in (1, len(grid[at])) or _count(grid[at + 1]) < 2:
            break
        yield [[next(filter(None, grid[at]))]]
        at += 1
    yield _filled(grid[at:])


def is_value(text: str) -> bool:
    """Return whether a text is a number, an amount, a share, a date or the like, which no header is."""
    return bool(_VALUE.fullmatch(text))
