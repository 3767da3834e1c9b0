"""Rows of a table whose cells wrap over several lines."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.pdf_columns import PdfLine
from syncd.pipeline.parse.pdf_hyphens import BROKEN

LEAP = 1.15
"""How many times the usual step from line to line the one to a new row is at least, where rows are set apart."""
_PROSE = 12
"""Letters of a cell's line that may go on in the next one."""
_FEW_RULES = 3
"""Bands from which on each may be one row."""

CellRow = list[PdfLine]
"""The words on one line."""


def rows_in(bands: Sequence[list[CellRow]], columns: Sequence[float], stops: bool) -> Iterator[list[str]]:
    """Yield the cells of each row; `bands` are the lines between rules, the first one the header; with `stops` each is one row."""
    parted = [[_cells(line, columns) for line in band] for band in bands]
    whole = stops or (
        len(bands) >= _FEW_RULES
        and (all(len(band) == 1 for band in parted) or any(not all(line) for band in parted[1:] for line in band))
    )
    for at, band in enumerate(parted):
        if whole or (at == 0 and len(bands) > 1):
            yield _joined(band)
        else:
            for start, end in pairwise([*_starts(band), len(band)]):
                yield _joined(band[start:end])


def _cells(line: CellRow, columns: Sequence[float]) -> list[CellRow]:
    found: list[CellRow] = [[] for _ in range(len(columns) + 1)]
    for word in line:
        found[bisect(columns, word.x + word.width / 2)].append(word)
    return found


def _joined(lines: Sequence[Sequence[CellRow]]) -> list[str]:
    """Return one row of the lines that its cells wrap over."""
    cells: list[str] = []
    for column in zip(*lines, strict=True):
        text = ""
        for part in (_text(words) for words in column if words):
            if text.endswith("-") and text[-2:-1].isalnum() and part[:1].isalnum():
                text = text[:-1] + BROKEN + part
            else:
                text = f"{text} {part}".strip()
        cells.append(text)
    return cells


def _text(words: CellRow) -> str:
    runs = groupby(words, key=lambda word: word.link)
    return " ".join(gfm.link(" ".join(word.text for word in run), address) for address, run in runs)


def _starts(lines: Sequence[Sequence[CellRow]]) -> Iterator[int]:
    """Yield which lines begin a row: those behind a larger step, and those that the cells above do not wrap into."""
    heights = [next(words[0].y for words in line if words) for line in lines]
    usual = min((below - above for above, below in pairwise(heights)), default=0)
    edges = [max((words[-1].right for words in column if words), default=0) for column in zip(*lines, strict=True)]
    leaps = [below - above > LEAP * usual for above, below in pairwise(heights)]
    yield 0
    for at in range(1, len(lines)):
        if leaps[at - 1] or not _wraps(lines[at - 1], lines[at], edges, any(leaps)):
            yield at


def _wraps(above: Sequence[CellRow], line: Sequence[CellRow], edges: Sequence[float], spaced: bool) -> bool:
    """Say whether a line goes on with the cells above it: none of its words would have had room there, and what is above runs on.
    Where rows are `spaced`, lines close to each other are enough for that.
    """
    if not line[0]:
        return True
    fits = [
        not before or before[-1].right + words[0].width + words[0].height / 4 <= edge
        for before, words, edge in zip(above, line, edges, strict=True)
        if words
    ]
    if any(fits):
        return False
    prose = any(_letters(before) >= _PROSE for before, words in zip(above, line, strict=True) if words)
    return (spaced and prose) if all(line) else (spaced or prose)


def _letters(words: CellRow) -> int:
    return sum(len(word.text) + 1 for word in words) if len(words) > 1 else 0
