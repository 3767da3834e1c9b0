"""How well searches of two collections of the same documents find what questions made of the first ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from syncd.errors import NotFoundError, RetryableError
from syncd.model import Comparison, Target, WayFigures
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
