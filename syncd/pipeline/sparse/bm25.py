"""BM25 encoders: `Chroma/BM25`, equal to chromadb's own, and `syncd/Code-BM25`, the same formula over words of any language and identifiers' parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import anyio

from syncd.model import Role, SparseEncoder, SparseVector
from syncd.pipeline.sparse import analyser
from syncd.pipeline.sparse.tokens import Terms
from syncd.pipeline.sparse.weights import weigh
from syncd.pipeline.sparse.words import RunTerms, chroma_terms, code_terms, runs, term_spans

CHROMA_BM25 = "Chroma/BM25"
CODE_BM25 = "syncd/Code-BM25"
INLINE_CHARACTERS = 50_000
"""About 5 ms of analysis; more is done in a thread."""


class Analyser(Protocol):
    """Makes terms of texts; documents and queries may get different ones that meet."""

    def terms(self, text: str, role: Role) -> Terms:
        """Return the terms of a text."""
        ...

    def spans(self, text: str, wanted: frozenset[int]) -> list[tuple[int, int]]:
        """Return (start, end) of every word with one of the `wanted` terms, in code points."""
        ...


class ByRuns:
    """An analyser that looks at one run of word characters at a time, in documents and queries alike."""

    def __init__(self, run_terms: RunTerms) -> None:
        self._run_terms = run_terms

    def terms(self, text: str, role: Role) -> Terms:
        """Return the terms of all runs."""
        run_terms = self._run_terms
        return Terms([term for run in runs(text) for term in run_terms(run)])

    def spans(self, text: str, wanted: frozenset[int]) -> list[tuple[int, int]]:
        """Return the runs with one of the `wanted` terms."""
        return term_spans(text, self._run_terms, wanted)


class AllLanguages:
    """The analyser of `syncd.pipeline.sparse.analyser`."""

    def terms(self, text: str, role: Role) -> Terms:
        """Return the terms of a document, or those that a query asks for."""
        return analyser.document_terms(text) if role == "document" else Terms(analyser.query_terms(text))

    def spans(self, text: str, wanted: frozenset[int]) -> list[tuple[int, int]]:
        """Return the words with one of the `wanted` terms."""
        return analyser.spans(text, wanted)


class Bm25:
    """One analyser with BM25's weights. Safe to use from many tasks at once."""

    uses_idf = True

    def __init__(
        self, model: str, version: int, analyser: Analyser, predecessors: Sequence[SparseEncoder] = ()
    ) -> None:
        self.model = model
        self.fingerprint = f"{model}#{version}"
        self.predecessors = predecessors
        self._analyser = analyser

    async def encode(self, texts: Sequence[str], role: Role) -> Sequence[SparseVector]:
        """Return one vector per text; a text without words has an empty one."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return self.vectors(texts, role)
        return await anyio.to_thread.run_sync(partial(self.vectors, texts, role))

    def vectors(self, texts: Sequence[str], role: Role = "document") -> list[SparseVector]:
        """Return one vector per text, in this thread."""
        return [weigh(*self._analyser.terms(text, role)) for text in texts]

    def spans(self, text: str, query: SparseVector) -> Sequence[tuple[int, int]]:
        """Return where `text` has words of the query: (start, end) in code points, in order, not overlapping."""
        return self._analyser.spans(text, frozenset(query.indices.tolist()))


def chroma_bm25() -> Bm25:
    """Return the encoder whose vectors are those of chromadb's `ChromaBm25EmbeddingFunction`."""
    return Bm25(CHROMA_BM25, 1, ByRuns(chroma_terms))


def code_bm25() -> Bm25:
    """Return the encoder for collections that hold code, and texts in any language."""
    return Bm25(CODE_BM25, analyser.ANALYSER_VERSION, AllLanguages(), [Bm25(CODE_BM25, 1, ByRuns(code_terms))])
