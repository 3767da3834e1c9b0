"""The cells of a spreadsheet as all its formats give them, row by row, and what was met beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SHEET_MAX_COLUMNS = 16_384
"""Of an Excel sheet; what stands further right in others is not read."""


class SheetRow(NamedTuple):
    """A row with text: its number and the texts of its filled cells by column, both from 0."""

    number: int
    cells: Mapping[int, str]


class Range(NamedTuple):
    """A rectangle of cells, ends included."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(slots=True)
class SheetCells:
    """One visible sheet. What its fields say is whole when `rows` has ended."""

    name: str
    rows: Iterator[SheetRow]
    merged: Sequence[Range] = ()
    comments: list[str] = field(default_factory=list[str])
