"""The table between horizontal rules: its columns, its rows, and the lines of cells that wrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.pdf_columns import PdfLine, in_rows
from syncd.pipeline.parse.pdf_rules import Rule, Ruled
from syncd.pipeline.parse.pdf_table_rows import LEAP, CellRow, rows_in

_EDGE = 4.0
_WIDE_GAP_EM = 0.8
_GAP_EM = 0.45
_MANY_LINES = 4
_MAX_STEP_EM = 3.0
_MAX_HEADER_STEP_EM = 1.8
_MAX_HEADER_LINES = 6
_FAR = 1.5
_TALLER = 1.1
_MAX_LINES = 300


@dataclass(frozen=True, slots=True)
class RuledTable:
    """A table and where it stands; `y` grows downwards."""

    left: float
    right: float
    top: float
    bottom: float
    rows: tuple[tuple[str, ...], ...]

    def holds(self, x: float, y: float) -> bool:
        """Say whether a point is within it."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def meets(self, other: RuledTable) -> bool:
        """Say whether both have a place in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def markdown(self) -> str:
        """Return it as Markdown."""
        return gfm.table(self.rows)


def tables_of(group: Ruled, words: Sequence[PdfLine]) -> Iterator[RuledTable]:
    """Yield the tables of a group of rules: none where they rule something else, several where each rule is below a header."""
    alone = [Ruled((rule,), open=True) for rule in group.rules]
    even = max(rule.weight for rule in group.rules) == min(rule.weight for rule in group.rules)
    each = [table for one in alone if (table := _table(one, words))] if even and not group.rules[0].stops else []
    whole = None if each and each[0].top < group.rules[0].y else _table(group, words)
    yield from [whole] if whole else each


def _table(group: Ruled, words: Sequence[PdfLine]) -> RuledTable | None:
    first, last = group.rules[0], group.rules[-1]
    beside = [word for word in words if first.left - _EDGE <= word.x + word.width / 2 <= first.right + _EDGE]
    lines = list(in_rows(beside))
    bands = [_between(lines, above.y, below.y) for above, below in pairwise(group.rules)]
    if group.open:
        header = bands[0] if bands else _above(lines, first)
        if not header or (not bands and _goes_on_beside(words, beside, last)):
            return None
        bands = [header, *bands[1:], _below(lines, last, header)]
    bands = [band for band in bands if band]
    columns = _columns(group, bands)
    if not bands or not columns:
        return None
    rows = list(rows_in(bands, columns, stops=bool(first.stops or last.stops)))
    filled = {at for row in rows for at, cell in enumerate(row) if cell}
    bullets = not any(any(map(str.isalnum, row[0])) for row in rows)
    if len(rows) < 2 or len(filled) <= len(columns) or bullets:
        return None
    inside = [word for band in bands for line in band for word in line]
    top = min(first.y, *(word.y for word in inside)) - _EDGE / 2
    bottom = max(last.y, *(word.y + word.height for word in inside)) + _EDGE / 2
    return RuledTable(first.left - _EDGE, first.right + _EDGE, top, bottom, tuple(map(tuple, rows)))


def _goes_on_beside(words: Sequence[PdfLine], beside: Sequence[PdfLine], rule: Rule) -> bool:
    """Say whether the first line below a rule has words that the rule is too short for."""
    below = min((word.y for word in beside if word.y > rule.y), default=rule.y)
    return sum(abs(word.y - below) < word.height / 2 for word in words) > sum(
        abs(word.y - below) < word.height / 2 for word in beside
    )


def _between(lines: Sequence[CellRow], top: float, bottom: float) -> list[CellRow]:
    return [line for line in lines if top <= line[0].y + line[0].height / 2 <= bottom]


def _above(lines: Sequence[CellRow], rule: Rule) -> list[CellRow]:
    """Return the lines of a header that has a rule below it only."""
    found: list[CellRow] = []
    bottom = rule.y
    for line in reversed([line for line in lines if line[0].y + line[0].height / 2 < rule.y]):
        word = line[0]
        if bottom - word.y > _MAX_HEADER_STEP_EM * word.height or len(found) == _MAX_HEADER_LINES:
            break
        if found and (_taller(line, found[0]) or _in_first_column(line, found)):
            break
        if len(_gaps([*found, line], _WIDE_GAP_EM)) < len(_gaps(found, _WIDE_GAP_EM)):
            break
        found.insert(0, line)
        bottom = word.y
    return found if _gaps(found, _WIDE_GAP_EM) else []


def _below(lines: Sequence[CellRow], rule: Rule, header: Sequence[CellRow]) -> list[CellRow]:
    """Return the lines below a table's last rule that keep to the columns of its header."""
    found: list[CellRow] = []
    gaps = len(_gaps(header, _WIDE_GAP_EM))
    bottom, widest = rule.y, 0.0
    for line in lines:
        word = line[0]
        if word.y + word.height / 2 <= rule.y:
            continue
        step = word.y - bottom
        leaps = len(found) > 1 and step > (LEAP if _in_first_column(line, found) else _FAR) * widest
        if (
            leaps
            or len(found) == _MAX_LINES
            or step > _MAX_STEP_EM * word.height
            or max(each.right for each in line) > rule.right + 2 * _EDGE
        ):
            break
        if _taller(line, header[-1]) or len(_gaps([*header, *found, line], _GAP_EM)) < gaps:
            break
        widest = max(widest, step) if found else 0.0
        found.append(line)
        bottom = word.y
    return found


def _in_first_column(line: CellRow, lines: Sequence[CellRow]) -> bool:
    gaps = _gaps(lines, _GAP_EM)
    return bool(gaps) and all(word.right < gaps[0] for word in line)


def _taller(line: CellRow, other: CellRow) -> bool:
    return max(word.height for word in line) > _TALLER * max(word.height for word in other)


def _gaps(lines: Sequence[CellRow], min_em: float) -> list[float]:
    """Return the middles of the gaps that no word of any line stands in."""
    words = sorted((word for line in lines for word in line), key=lambda word: word.x)
    if not words:
        return []
    least = min_em * median(word.height for word in words)
    gaps: list[float] = []
    right = words[0].right
    for word in words:
        if word.x - right >= least:
            gaps.append((word.x + right) / 2)
        right = max(right, word.right)
    return gaps


def _columns(group: Ruled, bands: Sequence[list[CellRow]]) -> list[float]:
    """Return where columns are parted: where the rules' pieces meet, else where no word of the body stands."""
    stops = sorted(stop for rule in group.rules for stop in rule.stops)
    often = [stop for stop in stops if sum(abs(stop - other) <= _EDGE for other in stops) * 2 >= len(group.rules)]
    parted: list[float] = []
    for stop in often:
        if not parted or stop - parted[-1] > _EDGE:
            parted.append(stop)
    if parted:
        return parted
    body = [line for band in (bands[1:] or bands) for line in band]
    least = _GAP_EM if len(body) >= _MANY_LINES else _WIDE_GAP_EM
    return max(_gaps([line for band in bands for line in band], least), _gaps(body, least), key=len)
