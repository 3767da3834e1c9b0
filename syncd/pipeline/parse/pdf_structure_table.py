"""The rows and cells of a table in a PDF's structure tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncd.pipeline.parse.pdfium_structure import Element

_MAX_SPREAD = 10_000
"""Cells of one table that spans may add: beyond, a cell spans nothing."""


def rows_of(table: Element) -> Iterator[list[Element]]:
    """Yield the cells of each row, whatever groups the rows stand in."""
    for child in table.children:
        if isinstance(child, int) or child.kind in ("Table", "Caption"):
            continue
        if child.kind == "TR":
            yield [cell for cell in child.children if isinstance(cell, Element)]
        else:
            yield from rows_of(child)


def spread(rows: Sequence[Sequence[tuple[str, int, int]]]) -> list[list[str]]:
    """Return a grid of cells (text, columns, rows); a cell that spans several repeats its text."""
    below: dict[tuple[int, int], str] = {}
    grid: list[list[str]] = []
    left = _MAX_SPREAD
    for at, row in enumerate(rows):
        line: list[str] = []
        for text, columns, deep in row:
            _take_over(line, at, below)
            deep = min(deep, len(rows) - at)
            if columns * deep - 1 > left:
                columns = deep = 1
            left -= columns * deep - 1
            first = len(line)
            line += [text] * columns
            below |= {(at + down, first + across): text for down in range(1, deep) for across in range(columns)}
        _take_over(line, at, below)
        grid.append(line)
    return grid


def _take_over(line: list[str], row: int, below: dict[tuple[int, int], str]) -> None:
    while (row, len(line)) in below:
        line.append(below.pop((row, len(line))))
