"""How good rankings are, by questions whose answers are known: recall, nDCG and MRR. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from syncd.search.judged import JudgedQuestion, TextPlace

DEPTH_JUDGED = 20
"""How many hits of a question are looked at."""


READ_TOKENS, HIT_TOKENS = 4000, 400
"""How much of its hits somebody reads, and what counts as one of ten then: ten hits of large chunks are a book, of small ones a page."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One question's ranking, judged: the ranks (from 1) of those of its `answers` answers that were found."""

    ranks: Sequence[int]
    answers: int


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over questions."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    ndcg_at_10: float
    mrr: float
    """Of the first answer within DEPTH_JUDGED hits."""


def judgement(question: JudgedQuestion, hits: Sequence[TextPlace]) -> Judgement:
    """Return how a question's hits, best first, answer it: an answer's rank is that of the first hit in it.

    Hits of documents that the question was made from do not count, and take no rank.
    """
    counted = [hit for hit in hits if hit.key not in question.made_from][:DEPTH_JUDGED]
    first = (
        next((rank for rank, hit in enumerate(counted, 1) if hit.overlaps(answer)), None) for answer in question.answers
    )
    return Judgement(sorted(rank for rank in first if rank is not None), len(question.answers))


def read_ndcg(question: JudgedQuestion, hits: Sequence[tuple[TextPlace, int]]) -> float:
    """Return the normalised discounted cumulative gain for somebody who reads READ_TOKENS of the hits, best first and each with its tokens: an
    answer counts for less by what is read before its first hit. Of hits with HIT_TOKENS it is nDCG@10, and it is the same for the same
    reading, however that is cut. Hits that do not count are not read.
    """
    read, gains = 0, dict[TextPlace, float]()
    for hit, tokens in hits:
        if hit.key in question.made_from:
            continue
        if read >= READ_TOKENS:
            break
        for answer in question.answers:
            if hit.overlaps(answer):
                gains.setdefault(answer, _discount(1 + read / HIT_TOKENS))
        read += tokens
    best = sum(_discount(rank) for rank in range(1, min(10, len(question.answers)) + 1))
    return min(1.0, sum(gains.values()) / best)


def recall(judged: Judgement, depth: int) -> float:
    """Return the share of the answers among the first `depth` hits."""
    return sum(rank <= depth for rank in judged.ranks) / judged.answers


def ndcg(judged: Judgement, depth: int = 10) -> float:
    """Return the normalised discounted cumulative gain: 1 where all answers come first."""
    gained = sum(_discount(rank) for rank in judged.ranks if rank <= depth)
    return gained / sum(_discount(rank) for rank in range(1, min(depth, judged.answers) + 1))


def reciprocal_rank(judged: Judgement) -> float:
    """Return 1 / the rank of the first answer; 0 where none was found."""
    return 1 / judged.ranks[0] if judged.ranks else 0.0


def quality(judged: Sequence[Judgement]) -> Quality:
    """Return the means over at least one question."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return Quality(
        *(mean([recall(one, depth) for one in judged]) for depth in (1, 5, 10)),
        ndcg_at_10=mean([ndcg(one) for one in judged]),
        mrr=mean([reciprocal_rank(one) for one in judged]),
    )


def _discount(rank: float) -> float:
    return 1 / math.log2(rank + 1)
