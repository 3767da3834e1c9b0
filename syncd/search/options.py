"""How searches are answered on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.pipeline.rerank.reranker import Reranker

LIMIT_S = 5.0
"""How long a query waits for a model and the vector store. Then words answer, or the query fails for now."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How long a query waits for each of its rankings, and what puts the hits of those that ask for it in order."""

    limit_s: float = LIMIT_S
    reranker: Reranker | None = None
