"""The catalogue of sparse models, and which one a collection uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from syncd.errors import NotFoundError
from syncd.model import Embedding, SparseEncoder
from syncd.pipeline.sparse.bm25 import CHROMA_BM25, CODE_BM25, chroma_bm25, code_bm25
from syncd.runtime.keylocks import KeyLocks

NONE = "none"

Loader = Callable[[], Awaitable[SparseEncoder]]


class SparseModels:
    """Sparse encoders by name, each made when it is first needed and kept.

    `default` is for collections whose source names none (`"none"`: no sparse vectors). `loaders` makes further models.
    """

    def __init__(self, default: str = CODE_BM25, loaders: Mapping[str, Loader] | None = None) -> None:
        self._ready: dict[str, SparseEncoder] = {CHROMA_BM25: chroma_bm25(), CODE_BM25: code_bm25()}
        self._loaders = dict(loaders or {})
        self._default = default
        self._loading = KeyLocks()

    def names(self) -> frozenset[str]:
        """Return the names of all models."""
        return frozenset(self._ready) | frozenset(self._loaders)

    async def of(self, embedding: Embedding) -> SparseEncoder | None:
        """Return the encoder of a collection, or None where it has no sparse vectors. Raises as `get` does."""
        name = embedding.sparse_model or self._default
        return None if name == NONE else await self.get(name)

    def at_hand(self, embedding: Embedding) -> SparseEncoder | None:
        """Return the encoder of a collection if it has one that is loaded; never waits."""
        return self._ready.get(embedding.sparse_model or self._default)

    async def get(self, name: str) -> SparseEncoder:
        """Return the encoder called `name`; the first call may wait for its files.

        Raises NotFoundError for an unknown one, PermanentError if its files are unavailable, RetryableError if a download was interrupted.
        """
        if name not in self._ready and name not in self._loaders:
            known = ", ".join(sorted(self.names()))
            raise NotFoundError(f"unknown sparse model {name!r}; known are {known}")
        async with self._loading.hold(name):
            if name not in self._ready:
                self._ready[name] = await self._loaders[name]()
        return self._ready[name]
