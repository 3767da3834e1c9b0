"""How well searches of two collections of the same documents find what questions made of the first ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from statistics import fmean

from syncd.errors import NotFoundError, RetryableError
from syncd.model import Comparison, Target, WayFigures
from syncd.search.judged import JudgedQuestion, place_of_hit
from syncd.search.made_questions import made_questions
from syncd.search.metrics import Judgement, Quality, judgement, quality, read_ndcg
from syncd.search.passages import token_estimate
from syncd.search.query import Answer, Mode, Query
from syncd.store import Store

ASKED = 100
"""Questions: some seconds' work for searches of two collections in three ways."""
ASKED_HITS = 100
"""Enough of small chunks for a reader, and beyond those that are judged for those that do not count."""
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
        both = [await _asked(search, target, way, questions) for target in (first, second)]
        figures.append(
            WayFigures(
                way=way,
                ndcg_at_10=[round(by_rank.ndcg_at_10, 4) for by_rank, _ in both],
                recall_at_10=[round(by_rank.recall_at_10, 4) for by_rank, _ in both],
                mrr=[round(by_rank.mrr, 4) for by_rank, _ in both],
                read_ndcg=[round(by_reading, 4) for _, by_reading in both],
            )
        )
    return Comparison(len(questions), figures)


async def _asked(
    search: Callable[[Query], Awaitable[Answer]], target: Target, way: Mode, questions: Sequence[JudgedQuestion]
) -> tuple[Quality, float]:
    """Return the quality by ranks, and `read_ndcg`."""
    judged: list[Judgement] = []
    by_reading: list[float] = []
    for question in questions:
        answer = await search(Query(target, question.text, way, ASKED_HITS))
        if way == "hybrid" and answer.hits and all(hit.dense_rank is None for hit in answer.hits):
            raise RetryableError("; ".join(answer.notices) or "a search went by words alone")
        hits = [(place_of_hit(hit.id, hit.metadata), token_estimate(hit.text)) for hit in answer.hits]
        judged.append(judgement(question, [place for place, _ in hits]))
        by_reading.append(read_ndcg(question, hits))
    return quality(judged), fmean(by_reading)
