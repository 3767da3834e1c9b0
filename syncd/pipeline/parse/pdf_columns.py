"""Columns of a page whose text is drawn line by line across all of them, as the text layers of scans are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_MIN_GUTTER_EM = 0.8
_MIN_ROWS = 4
_MIN_WORDS_A_LINE = 3
_MIN_SHARE = 0.7
"""Of the rows that have text on both sides, of the lines that begin at their column's edge, and of a column's width that its usual
line fills."""
_MAX_COLUMNS_DEPTH = 3
_MAX_LINES = 2_000
_SAME_LINE_EM = 0.3
_LEAP = 1.5
"""Over the usual distance of two lines: where both sides leap at once, rows of a table end."""


@dataclass(frozen=True, slots=True)
class PdfLine:
    """Text that stands together on one line; `y` grows downwards."""

    text: str
    x: float
    y: float
    width: float
    height: float
    link: str = ""

    @property
    def right(self) -> float:
        """Return its right edge."""
        return self.x + self.width


def in_columns(lines: Sequence[PdfLine], plain: str) -> str | None:
    """Return a page's lines column by column where `plain` goes on from each column into the next; None everywhere else."""
    if len(lines) > _MAX_LINES:
        return None
    gutter = _gutter(lines)
    if gutter is None:
        return None
    folded = " ".join(plain.split())
    across = [f"{_folded(left)} {_folded(right)}" in folded for left, right in _pairs(lines, gutter)]
    if sum(across) < max(_MIN_ROWS, 0.6 * len(across)):
        return None
    return "\n".join(line.text for line in _ordered(lines, 0))


def _folded(line: PdfLine) -> str:
    return " ".join(line.text.split()).removesuffix("-")


def in_rows(lines: Sequence[PdfLine]) -> Iterator[list[PdfLine]]:
    """Yield lines at one height together, from left to right."""
    row: list[PdfLine] = []
    for line in sorted(lines, key=lambda line: line.y):
        if row and line.y - row[0].y > _SAME_LINE_EM * max(row[0].height, 1):
            yield sorted(row, key=lambda line: line.x)
            row = []
        row.append(line)
    if row:
        yield sorted(row, key=lambda line: line.x)


def _gutter(lines: Sequence[PdfLine]) -> float | None:
    """Return where two columns of running text are parted; None where nothing is, or where it may be a table."""
    em = median(line.height for line in lines) if lines else 0
    gaps = [
        (left.right, right.x)
        for row in in_rows(lines)
        for left, right in pairwise(row)
        if right.x - left.right >= _MIN_GUTTER_EM * em
    ]
    middles = sorted((start + end) / 2 for start, end in gaps)[:: max(1, len(gaps) // 50)]
    best = max(middles, key=lambda x: sum(start < x < end for start, end in gaps), default=None)
    if best is None:
        return None
    pairs = list(_pairs(lines, best))
    if len(pairs) < _MIN_ROWS or not all(_runs_on(side) for side in zip(*pairs, strict=True)):
        return None
    edge = median(right.x for _, right in pairs)
    if sum(abs(right.x - edge) < em / 4 for _, right in pairs) < _MIN_SHARE * len(pairs):
        return None
    top, bottom = pairs[0][0].y, pairs[-1][0].y
    rows = sum(1 for _ in in_rows([line for line in lines if top <= line.y <= bottom]))
    return None if len(pairs) < _MIN_SHARE * rows or _leaps_together(pairs) else best


def _runs_on(side: Sequence[PdfLine]) -> bool:
    """Say whether one side is running text: some words a line, and most lines as long as the longest."""
    longest = max(line.width for line in side)
    words = median(len(line.text.split()) for line in side)
    return words >= _MIN_WORDS_A_LINE and median(line.width for line in side) >= _MIN_SHARE * longest


def _pairs(lines: Sequence[PdfLine], gutter: float) -> Iterator[tuple[PdfLine, PdfLine]]:
    for row in in_rows(lines):
        for left, right in pairwise(row):
            if left.right < gutter < right.x:
                yield left, right


def _leaps_together(pairs: Sequence[tuple[PdfLine, PdfLine]]) -> bool:
    steps = [below[0].y - above[0].y for above, below in pairwise(pairs)]
    usual = median(steps)
    return sum(step > _LEAP * usual for step in steps) * 4 > len(steps)


def _ordered(lines: Sequence[PdfLine], depth: int) -> Iterator[PdfLine]:
    """Yield lines as they are read: above the columns, each column, below them."""
    gutter = _gutter(lines) if depth < _MAX_COLUMNS_DEPTH else None
    if gutter is None:
        for row in in_rows(lines):
            yield from row
        return
    pairs = list(_pairs(lines, gutter))
    crossing = [line.y for line in lines if line.x < gutter < line.right]
    top = max((y for y in crossing if y < pairs[0][0].y), default=float("-inf"))
    bottom = min((y for y in crossing if y > pairs[-1][0].y), default=float("inf"))
    inside = [line for line in lines if top < line.y < bottom]
    yield from _ordered([line for line in lines if line.y <= top], depth + 1)
    yield from _ordered([line for line in inside if line.x < gutter], depth + 1)
    yield from _ordered([line for line in inside if line.x >= gutter], depth + 1)
    yield from _ordered([line for line in lines if line.y >= bottom], depth + 1)
