"""Reciprocal rank fusion and grouping. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fusion:
    """How rankings are fused: a hit's score is the sum of weight / (k + rank), ranks counting from 1.

    The defaults were chosen over prose, documentation and questions about code (tests/benchmarks/README.md, all-MiniLM-L6-v2,
    syncd/Code-BM25): the weight of words is as small as prose bears; code has its own (order.py). The
    literature uses k = 60 and equal weights (Cormack, Clarke, Buettcher, SIGIR 2009).
    """

    dense: float = 1.0
    sparse: float = 2.5
    k: int = 10


@dataclass(frozen=True, slots=True)
class Ranked:
    """A chunk id with its score and its ranks (from 1) in the rankings that hold it."""

    id: str
    score: float
    dense_rank: int | None = None
    sparse_rank: int | None = None
    also: tuple[str, ...] = ()


def fuse(dense: Sequence[str], sparse: Sequence[str], fusion: Fusion) -> list[Ranked]:
    """Return both rankings as one, best first; equal scores in the order of the dense, then the sparse ranking."""
    dense_ranks = {chunk_id: rank for rank, chunk_id in enumerate(dense, 1)}
    sparse_ranks = {chunk_id: rank for rank, chunk_id in enumerate(sparse, 1)}
    fused: list[Ranked] = []
    for chunk_id in dict.fromkeys([*dense, *sparse]):
        in_dense, in_sparse = dense_ranks.get(chunk_id), sparse_ranks.get(chunk_id)
        score = fusion.dense / (fusion.k + in_dense) if in_dense else 0.0
        score += fusion.sparse / (fusion.k + in_sparse) if in_sparse else 0.0
        fused.append(Ranked(chunk_id, score, in_dense, in_sparse))
    return sorted(fused, key=lambda hit: -hit.score)


def grouped(hits: Sequence[Ranked], document_of: Callable[[str], object]) -> list[Ranked]:
    """Return the best hit of every document, with the ids of its others."""
    groups: dict[object, list[Ranked]] = {}
    for hit in hits:
        groups.setdefault(document_of(hit.id), []).append(hit)
    return [
        Ranked(first.id, first.score, first.dense_rank, first.sparse_rank, tuple(hit.id for hit in others))
        for first, *others in groups.values()
    ]
