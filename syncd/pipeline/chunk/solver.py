"""The one cost model: which of the allowed cuts to make, solved exactly for code, Markdown and plain text alike.

A stage proposes cuts (byte offset -> cost of cutting there); `solve` picks the subset with the smallest sum of cut costs and
size costs under a hard limit. Costs compare like this: 1-10 between things, 20-60 between things that belong together.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from zlib import crc32

Cuts = dict[int, float]
"""Byte offset into the part -> cost of starting a chunk there. Offsets are character boundaries."""

OVERSIZE_COST = 10.0
"""Times (size / target - 1) squared above the target."""
UNDERSIZE_COST = 6.0
"""Times the missing share below a quarter of the target."""
RESYNC_COST = 0.5
"""Spread by a hash of what follows, so that among equal cuts content decides and an edit does not shift all later ones."""
_SPREAD = tuple(RESYNC_COST * share / 16 for share in range(16))

LINE_COST = 12.0
BLANK_LINE_COST = 9.0
CLOSER_COST = 8.0
SEPARATOR_COST = 30.0
CHARACTER_COST = 60.0

_Filler = Callable[[bytes, int, int, "ChunkLimits"], Iterator[tuple[int, float]]]

_SEPARATOR = re.compile(rb"[\s,;.)}\]>]+|\xe3\x80[\x81\x82]|\xef\xbc[\x8c\x9b\x81\x9f]")
_LINE = re.compile(rb"(\n[ \t\r\f\n]*\n|\n)([ \t]*)([)\]}]?)")


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Sizes of chunk texts in UTF-8 bytes: `maximum_bytes` is hard (at least 4), `target_bytes` is at most that."""

    target_bytes: int
    maximum_bytes: int

    @property
    def spacing_bytes(self) -> int:
        """Return how far apart cuts are kept at least, which bounds the work per byte."""
        return max(1, min(max(24, self.target_bytes // 16), self.maximum_bytes // 4))


def solve(data: bytes, cuts: Cuts, limits: ChunkLimits) -> list[int]:
    """Return the ends of the chunks of `data`, ascending, the last one `len(data)`; [] for no data.

    No chunk is larger than the limit, whatever `cuts` offers: where its cuts are too far apart, lines, then separators,
    then characters are cut.
    """
    size = len(data)
    if size <= min(limits.target_bytes, limits.maximum_bytes):
        return [size] if size else []
    offsets, costs = _candidates(data, cuts, limits)
    return _cheapest(offsets, costs, limits)


def _candidates(data: bytes, cuts: Cuts, limits: ChunkLimits) -> tuple[list[int], list[float]]:
    """Return the offsets 0 … len(data) of all usable cuts, no two further apart than the limit, and their costs."""
    offsets, costs = [0], [0.0]
    for offset, cost in (*_thinned(data, cuts, limits.spacing_bytes), (len(data), 0.0)):
        if offset - offsets[-1] > limits.maximum_bytes:
            for extra, extra_cost in _filled(data, offsets[-1], offset, limits):
                offsets.append(extra)
                costs.append(extra_cost)
        offsets.append(offset)
        costs.append(cost)
    return offsets, costs


def _thinned(data: bytes, cuts: Cuts, spacing_bytes: int) -> list[tuple[int, float]]:
    """Return the cuts inside `data`, of those close together the cheapest, with the share that content decides.

    Closeness is counted from cut to cut, not on a grid: a grid would shift with every edit, and all later chunks too.
    """
    kept: list[tuple[int, float]] = []
    last, last_cost, size = -spacing_bytes, 0.0, len(data)
    for offset in sorted(cuts):
        if not 0 < offset < size:
            continue
        close = offset - last < spacing_bytes
        if close and cuts[offset] >= last_cost:
            continue
        cost = cuts[offset] + _SPREAD[crc32(data[offset : offset + 48]) & 15]
        if not close:
            kept.append((offset, cost))
        elif cost < last_cost:
            kept[-1] = offset, cost
        else:
            continue
        last, last_cost = offset, cost
    return kept


def _filled(data: bytes, start: int, end: int, limits: ChunkLimits) -> Iterator[tuple[int, float]]:
    """Yield cuts inside a segment without any: at lines, in lines over the limit at separators, else at characters."""
    lines: Cuts = {}
    for match in _LINE.finditer(data, start, end):
        feed, indent, closer = match.groups()
        cost = LINE_COST if len(feed) == 1 else BLANK_LINE_COST
        lines[match.end(1)] = cost + min(len(indent), 24) / 4 + (CLOSER_COST if closer else 0)
    yield from _closed(data, start, end, lines, limits, limits.spacing_bytes, _separated)


def _separated(data: bytes, start: int, end: int, limits: ChunkLimits) -> Iterator[tuple[int, float]]:
    separators = {match.end(): SEPARATOR_COST for match in _SEPARATOR.finditer(data, start, end)}
    spacing = max(limits.spacing_bytes, min(limits.target_bytes // 8, limits.maximum_bytes // 4))
    yield from _closed(data, start, end, separators, limits, spacing, _characters)


def _characters(data: bytes, start: int, end: int, limits: ChunkLimits) -> Iterator[tuple[int, float]]:
    while end - start > limits.target_bytes:
        start = character_start(data, start, start + limits.target_bytes)
        yield start, CHARACTER_COST


def _closed(
    data: bytes, start: int, end: int, cuts: Cuts, limits: ChunkLimits, spacing_bytes: int, finer: _Filler
) -> Iterator[tuple[int, float]]:
    """Yield `cuts` between `start` and `end`, and those of `finer` where they are further apart than the limit."""
    last = start
    inside = {offset: cost for offset, cost in cuts.items() if start < offset < end}
    for offset, cost in (*_thinned(data, inside, spacing_bytes), (end, 0.0)):
        if offset - last > limits.maximum_bytes:
            yield from finer(data, last, offset, limits)
        if offset < end:
            yield offset, cost
        last = offset


def character_start(data: bytes, start: int, offset: int) -> int:
    """Return the last character boundary after `start` and not after `offset`; the next one when there is none."""
    if offset >= len(data):
        return len(data)
    at = offset
    while at > start and data[at] & 0xC0 == 0x80:
        at -= 1
    if at > start:
        return at
    at = offset
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at


@lru_cache(maxsize=8)
def _size_costs(limits: ChunkLimits) -> array[float]:
    """Return the cost of a chunk by its size in bytes, 0 to the limit: computed once, not for every pair of cuts."""
    target = limits.target_bytes
    under = (UNDERSIZE_COST * max(0.0, 1 - 4 * size / target) for size in range(target + 1))
    over = (OVERSIZE_COST * (size / target - 1) ** 2 for size in range(target + 1, limits.maximum_bytes + 1))
    return array("d", chain(under, over))


def _cheapest(offsets: list[int], costs: list[float], limits: ChunkLimits) -> list[int]:
    """Return the ends of the cheapest chunks over `offsets` (dynamic programming, exact).

    Size costs are convex, so the best start for an end is never before the best one for an earlier end.
    """
    size_costs, maximum = _size_costs(limits), limits.maximum_bytes
    totals, previous = [0.0], [0]
    for index in range(1, len(offsets)):
        end, first = offsets[index], previous[-1]
        best, chosen = float("inf"), index - 1
        while offsets[first] < end - maximum:
            first += 1
        for start in range(index - 1, first - 1, -1):
            total = totals[start] + size_costs[end - offsets[start]]
            if total < best:
                best, chosen = total, start
        totals.append(best + costs[index])
        previous.append(chosen)
    ends: list[int] = []
    index = len(offsets) - 1
    while index:
        ends.append(offsets[index])
        index = previous[index]
    return ends[::-1]
