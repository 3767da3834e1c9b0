"""How well searches of two collections find what is asked of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

DECISIVE = "hybrid"
"""The way of searches that name none, by which a change is judged."""


class WayFigures(TypedDict):
    """One way to search, and its quality in each of the two collections."""

    way: str
    ndcg_at_10: Sequence[float]
    recall_at_10: Sequence[float]
    mrr: Sequence[float]
    read_ndcg: Sequence[float]
    """nDCG by what is read of the hits instead of by their ranks: fair to chunks of any size, and what a change is judged by."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of two collections side by side; without questions there are none."""

    questions: int
    figures: Sequence[WayFigures]

    @property
    def decisive(self) -> Sequence[float]:
        """The figures by which a change is judged: `read_ndcg` of hybrid searches; zeros without questions."""
        return next((one["read_ndcg"] for one in self.figures if one["way"] == DECISIVE), (0.0, 0.0))

    @property
    def loss(self) -> float:
        """The share by which the decisive figure falls from the first to the second; negative where it rises."""
        before, after = self.decisive
        return 1.0 - after / before if before > 0 else 0.0
