"""How well searches of two collections of the same documents find what questions made of the first ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from syncd.errors import NotFoundError, RetryableError
from syncd.model import Target
from syncd.search.judged import JudgedQuestion, place_of_hit
from syncd.search.made_questions import made_questions
from syncd.search.metrics import DEPTH_JUDGED, Judgement, Quality, judgement, quality
from syncd.search.query import Answer, Mode, Query
from syncd.store import Store

ASKED = 100
"""Questions: some seconds' work for searches of two collections in three ways."""
BEYOND_JUDGED = 10
"""Hits beyond those that are judged, for those that do not count."""
COMPARED_WAYS: Sequence[Mode] = ("sparse", "dense", "hybrid")
DECISIVE: Mode = "hybrid"
"""The mode of searches that name none, by which a change is judged."""


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


async def compared(
    store: Store, search: Callable[[Query], Awaitable[Answer]], first: Target, second: Target
) -> Comparison:
    """Ask both collections questions that are made of the first, with the rules that searches apply by themselves.

    A text that makes no question is no reason to think ill of anything. Raises RetryableError, PermanentError.
    """
    try:
        questions = await made_questions(store, first, ASKED)
    except NotFoundError:
        return Comparison(0, ())
    figures: list[WayFigures] = []
    for way in COMPARED_WAYS:
        both = [await _quality(search, target, way, questions) for target in (first, second)]
        figures.append(
            WayFigures(
                way=way,
                ndcg_at_10=[round(one.ndcg_at_10, 4) for one in both],
                recall_at_10=[round(one.recall_at_10, 4) for one in both],
                mrr=[round(one.mrr, 4) for one in both],
            )
        )
    return Comparison(len(questions), figures)


async def _quality(
    search: Callable[[Query], Awaitable[Answer]], target: Target, way: Mode, questions: Sequence[JudgedQuestion]
) -> Quality:
    judged: list[Judgement] = []
    for question in questions:
        answer = await search(Query(target, question.text, way, DEPTH_JUDGED + BEYOND_JUDGED))
        if way == "hybrid" and answer.hits and all(hit.dense_rank is None for hit in answer.hits):
            raise RetryableError("; ".join(answer.notices) or "a search went by words alone")
        judged.append(judgement(question, [place_of_hit(hit.id, hit.metadata) for hit in answer.hits]))
    return quality(judged)
