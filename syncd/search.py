"""Search over a synced collection, with the model that made its vectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.chroma.client import Chroma
from syncd.errors import NotFoundError, PermanentError
from syncd.model import Embedder, Metadata, Target, Vectors
from syncd.store import Store


@dataclass(frozen=True, slots=True)
class Hit:
    """One chunk that answers a query; `score` is the cosine similarity, higher is better."""

    id: str
    score: float
    text: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, where, and which part of the ranking is wanted."""

    target: Target
    text: str
    limit: int = 10
    offset: int = 0
    where: Mapping[str, Any] | None = None
    where_document: Mapping[str, Any] | None = None


class Search:
    """Answers queries; all methods may run side by side with syncing."""

    def __init__(self, store: Store, chroma: Chroma, embedder: Callable[[str], Awaitable[Embedder]]) -> None:
        self._store = store
        self._chroma = chroma
        self._embedder = embedder

    async def dense(self, query: Query) -> Sequence[Hit]:
        """Return the chunks nearest to the query, best first. The query waits for at most one batch of documents.

        Raises NotFoundError for a collection syncd never wrote, PermanentError for a filter Chroma refuses, RetryableError
        while Chroma or the model is away.
        """
        (vector,) = await self.embed(query.target, [query.text])
        rows = await self._chroma.query(
            query.target, vector.tolist(), query.offset + query.limit, query.where, query.where_document
        )
        return [
            Hit(row.id, 1.0 - (row.distance or 0.0), row.document or "", row.metadata) for row in rows[query.offset :]
        ]

    async def embed(self, target: Target, texts: Sequence[str]) -> Vectors:
        """Embed queries with the collection's model and query prompt. Raises as `dense` does."""
        record = await self._store.documents.find(target)
        if record is None:
            raise NotFoundError(
                f"syncd has not written a collection {target.collection!r} in database {target.database!r}; "
                "sync something into it first"
            )
        if not all(texts):
            raise PermanentError("a query must not be empty")
        embedder = await self._embedder(record.embedding.model)
        return (await embedder.embed(texts, "query", record.embedding.task)).vectors
