"""Horizontal rules on a page, and the regions between them that may be tables: booktabs, cells with lines below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SAME = 3.0
"""Points by which edges that are meant to be one may differ."""
_MAX_THICKNESS = 2.5
_MIN_WIDTH = 60.0
_MAX_SEGMENTS = 5_000
_MAX_RULES = 200
_CLOSED = 3
"""Rules of a table with a header: two at it, one at the end."""
_HEAVY = 1.3
"""How many times the thinnest rule of a table those at its top and bottom are, where they differ."""

RuleLine = tuple[float, float, float, float]
"""Left, right, height on the page (downwards), thickness."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across; `stops` are where the pieces meet that it is drawn of."""

    y: float
    left: float
    right: float
    weight: float
    stops: tuple[float, ...] = ()

    def spans_as(self, other: Rule) -> bool:
        """Say whether both begin and end at the same places."""
        return abs(self.left - other.left) <= _SAME and abs(self.right - other.right) <= _SAME


@dataclass(frozen=True, slots=True)
class Ruled:
    """Rules of one width below each other; an open one has no rule below its last rows."""

    rules: tuple[Rule, ...]
    open: bool


def rules(segments: Sequence[RuleLine]) -> list[Rule]:
    """Return the rules that segments make, from the top. Nothing on a page with more than tables have."""
    thin = sorted((piece for piece in segments if piece[3] <= _MAX_THICKNESS), key=lambda piece: piece[2])
    if len(thin) > _MAX_SEGMENTS:
        return []
    found: list[Rule] = []
    level: list[RuleLine] = []
    for piece in (*thin, (0.0, 0.0, float("inf"), 0.0)):
        if level and piece[2] - level[-1][2] > _SAME / 2:
            found += _at_one_height(level)
            level = []
        level.append(piece)
    return [rule for rule in found if rule.right - rule.left >= _MIN_WIDTH][:_MAX_RULES]


def _at_one_height(pieces: Sequence[RuleLine]) -> Iterator[Rule]:
    held: list[RuleLine] = []
    right = 0.0
    for piece in sorted(pieces):
        if held and piece[0] - right > _SAME:
            yield _rule(held, right)
            held = []
        right = max(right, piece[1]) if held else piece[1]
        held.append(piece)
    yield _rule(held, right)


def _rule(pieces: Sequence[RuleLine], right: float) -> Rule:
    left = pieces[0][0]
    ends = [piece[1] for piece in pieces]
    starts = sorted({piece[0] for piece in pieces if left + _SAME < piece[0] < right - _SAME})
    stops: list[float] = []
    for start in starts:
        if any(abs(start - end) <= _SAME for end in ends) and (not stops or start - stops[-1] > _SAME):
            stops.append(start)
    return Rule(pieces[0][2], left, right, max(piece[3] for piece in pieces), tuple(stops))


def ruled(found: Sequence[Rule]) -> Iterator[Ruled]:
    """Yield the groups of rules that may be tables."""
    left = list(found)
    while left:
        alike = [rule for rule in left if rule.spans_as(left[0])]
        left = [rule for rule in left if not rule.spans_as(alike[0])]
        yield from _groups(alike)


def _groups(alike: Sequence[Rule]) -> Iterator[Ruled]:
    """Part tables of one width that stand below each other, by the heavier rules at their tops and bottoms."""
    thinnest = min(rule.weight for rule in alike)
    heavy = [at for at, rule in enumerate(alike) if rule.weight >= _HEAVY * thinnest]
    if not heavy or heavy[0] != 0:
        yield Ruled(tuple(alike), open=len(alike) < _CLOSED)
        return
    for first, last in zip(heavy[::2], [*heavy[1::2], None], strict=False):
        yield Ruled(tuple(alike[first : None if last is None else last + 1]), open=last is None)
