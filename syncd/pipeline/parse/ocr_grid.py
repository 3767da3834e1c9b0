"""Ruled tables in a picture of a page: lines are found in its pixels, and cells between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

_DARK = 180
_MIN_LENGTH = 80
"""Pixels of a page of 2,340: longer than a letter is high or a dash is wide."""
_MAX_RUNS = 20_000
_MAX_LINES = 300
_MAX_CELLS = 3_000
"""More than this on a page are hatching or squared paper."""
_DRIFT = 3
"""Pixels by which a line may wander from one piece to the next: scans are never quite straight."""
_GAP = 12
_THICK = 7
_SKEW = 50
"""Along how many pixels a line may wander by one: somewhat over a degree."""
_NEAR = 10
_MOST = 0.6


@dataclass(slots=True)
class Stroke:
    """A straight line along one axis: from `start` to `end`, between `first` and `last` across it."""

    start: int
    end: int
    first: int
    last: int

    @property
    def middle(self) -> float:
        """Return where it is across."""
        return (self.first + self.last) / 2


@dataclass(frozen=True, slots=True)
class RuledGrid:
    """The cells of a ruled table; `xs` and `ys` are where its lines run."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    across: tuple[Stroke, ...]
    down: tuple[Stroke, ...]

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Return row and column of the cell with a point, the first one of those that are one; None outside."""
        row = next((at for at in range(len(self.ys) - 1) if self.ys[at] <= y <= self.ys[at + 1]), None)
        column = next((at for at in range(len(self.xs) - 1) if self.xs[at] <= x <= self.xs[at + 1]), None)
        return None if row is None or column is None else self.owner(row, column)

    def owner(self, row: int, column: int) -> tuple[int, int]:
        """Return the first of the cells that are one with this: no line parts them."""
        while column > 0 and not _parted(self.down, self.xs[column], self.ys[row], self.ys[row + 1]):
            column -= 1
        while row > 0 and not _parted(self.across, self.ys[row], self.xs[column], self.xs[column + 1]):
            row -= 1
        return row, column

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return the pixels within the lines around a cell: left, top, right, bottom."""
        inside = _THICK - 1
        left, top = self.xs[column] + inside, self.ys[row] + inside
        return int(left), int(top), int(self.xs[column + 1] - inside), int(self.ys[row + 1] - inside)


def _parted(strokes: Sequence[Stroke], at: float, start: float, end: float) -> bool:
    covered = sum(
        max(0.0, min(stroke.end, end) - max(stroke.start, start))
        for stroke in strokes
        if abs(stroke.middle - at) <= _NEAR
    )
    return covered >= _MOST * (end - start)


def grids(page: Image.Image) -> Iterator[RuledGrid]:
    """Yield the ruled tables of a page of some 2,340 pixels."""
    import numpy as np

    dark = np.asarray(page.convert("L")) < _DARK
    across, down = _strokes(dark), _strokes(dark.T)
    while across:
        group = _touching(across.pop(), across, down)
        xs, ys = _places(group[1]), _places(group[0])
        if len(xs) > 2 and len(ys) > 2 and (len(xs) - 1) * (len(ys) - 1) <= _MAX_CELLS:
            yield RuledGrid(xs, ys, tuple(group[0]), tuple(group[1]))


def without_lines(page: Image.Image, tables: Sequence[RuledGrid]) -> Image.Image:
    """Return a page without the lines of its tables, which pass for letters where they are close to some."""
    clean = page.copy() if tables else page
    draw = ImageDraw.Draw(clean)
    for table in tables:
        for line in table.across:
            draw.rectangle((line.start, line.first - 1, line.end, line.last + 1), fill="white")
        for line in table.down:
            draw.rectangle((line.first - 1, line.start, line.last + 1, line.end), fill="white")
    return clean


def _strokes(dark: Any) -> list[Stroke]:
    """Return the thin lines along the second axis."""
    import numpy as np

    thick = dark.copy()
    thick[1:] |= dark[:-1]
    thick[:-1] |= dark[1:]
    edges = np.diff(np.pad(thick, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    long = ends - starts >= _MIN_LENGTH
    if long.sum() > _MAX_RUNS:
        return []
    found: list[Stroke] = []
    for row, start, end in zip(rows[long].tolist(), starts[long].tolist(), ends[long].tolist(), strict=True):
        near = (
            each
            for each in found
            if row - each.last <= _DRIFT and start <= each.end + _GAP and each.start <= end + _GAP
        )
        if (line := next(near, None)) is None:
            found.append(Stroke(start, end, row, row))
        else:
            line.start, line.end, line.last = min(line.start, start), max(line.end, end), row
    thin = [line for line in found if line.last - line.first <= _THICK + (line.end - line.start) // _SKEW]
    return thin if len(thin) <= _MAX_LINES else []


def _touching(first: Stroke, across: list[Stroke], down: list[Stroke]) -> tuple[list[Stroke], list[Stroke]]:
    """Take the lines that hang together with `first` out of both lists."""
    group: tuple[list[Stroke], list[Stroke]] = ([first], [])
    new = [(first, 0)]
    while new:
        line, side = new.pop()
        others = (down, across)[side]
        for other in [other for other in others if _meet(line, other)]:
            others.remove(other)
            group[1 - side].append(other)
            new.append((other, 1 - side))
    return group


def _meet(one: Stroke, other: Stroke) -> bool:
    return (
        one.start - _NEAR <= other.middle <= one.end + _NEAR and other.start - _NEAR <= one.middle <= other.end + _NEAR
    )


def _places(strokes: Sequence[Stroke]) -> tuple[float, ...]:
    found: list[float] = []
    for stroke in sorted(strokes, key=lambda stroke: stroke.middle):
        if not found or stroke.middle - found[-1] > _NEAR:
            found.append(stroke.middle)
    return tuple(found)
