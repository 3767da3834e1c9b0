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


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of two collections side by side; without questions there are none."""

    questions: int
    figures: Sequence[WayFigures]

    @property
    def loss(self) -> float:
        """The share by which nDCG@10 of hybrid searches falls from the first to the second; negative where it rises."""
        for one in self.figures:
            if one["way"] == DECISIVE and one["ndcg_at_10"][0] > 0:
                return 1.0 - one["ndcg_at_10"][1] / one["ndcg_at_10"][0]
        return 0.0
