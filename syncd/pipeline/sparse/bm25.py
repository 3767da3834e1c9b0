"""BM25 encoders: `Chroma/BM25`, equal to chromadb's own, and `syncd/Code-BM25`, the same formula over identifiers' parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio

from syncd.model import Role, SparseVector
from syncd.pipeline.sparse.weights import weigh
from syncd.pipeline.sparse.words import Terms, chroma_terms, code_terms, runs, spans

CHROMA_BM25 = "Chroma/BM25"
CODE_BM25 = "syncd/Code-BM25"
INLINE_CHARACTERS = 50_000
"""About 5 ms of analysis; more is done in a thread."""


class Bm25:
    """One analyser with BM25's weights; queries are encoded like documents. Safe to use from many tasks at once."""

    uses_idf = True

    def __init__(self, model: str, fingerprint: str, terms: Terms) -> None:
        self.model = model
        self.fingerprint = fingerprint
        self._terms = terms

    async def encode(self, texts: Sequence[str], role: Role) -> Sequence[SparseVector]:
        """Return one vector per text; a text without words has an empty one."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return self.vectors(texts)
        return await anyio.to_thread.run_sync(partial(self.vectors, texts))

    def vectors(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return one vector per text, in this thread."""
        terms = self._terms
        return [weigh([term for run in runs(text) for term in terms(run)]) for text in texts]

    def spans(self, text: str, query: SparseVector) -> Sequence[tuple[int, int]]:
        """Return where `text` has words of the query: (start, end) in code points, in order, not overlapping."""
        return spans(text, self._terms, frozenset(query.indices.tolist()))


def chroma_bm25() -> Bm25:
    """Return the encoder whose vectors are those of chromadb's `ChromaBm25EmbeddingFunction`."""
    return Bm25(CHROMA_BM25, f"{CHROMA_BM25}#1", chroma_terms)


def code_bm25() -> Bm25:
    """Return the encoder for collections that hold code."""
    return Bm25(CODE_BM25, f"{CODE_BM25}#1", code_terms)
