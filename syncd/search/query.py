"""What is asked and what is answered: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from syncd.model import Metadata, Target
from syncd.store.chunks import Stage

Mode = Literal["dense", "sparse", "hybrid"]


@dataclass(frozen=True, slots=True)
class Fusion:
    """How rankings are fused: a hit's score is the sum of weight / (k + rank), ranks counting from 1.

    The defaults were chosen with tests/benchmarks/retrieval.py (all-MiniLM-L6-v2, syncd/Code-BM25) over 1,245 questions
    about code, documentation and prose: of the fusions that lose nowhere to either ranking alone on one half of them, one
    that does not on the other half either. k of 5 to 20 and sparse weights of 3 to 5 differ little. Elsewhere k = 60 and equal weights are usual (Cormack, Clarke, Buettcher,
    SIGIR 2009).
    """

    dense: float = 1.0
    sparse: float = 4.0
    k: int = 15


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, where, and which part of the ranking is wanted."""

    target: Target
    text: str
    mode: Mode = "dense"
    limit: int = 10
    offset: int = 0
    where: Mapping[str, Any] | None = None
    where_document: Mapping[str, Any] | None = None
    source_ids: Sequence[str] = ()
    """Only hits from these sources; none: from all."""
    path: str | None = None
    """Only hits whose key this matches: `*` any characters, slashes too, `?` one; without either, a leading part."""
    group: bool = False
    """One hit per document, its best; `limit` and `offset` then count documents."""
    fusion: Fusion = Fusion()


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One chunk that answers a query; a higher score is better.

    `score`: cosine similarity (dense), BM25 or dot product (sparse), fused ranks (hybrid). Ranks count from 1, over all
    that pass the filters; None where that ranking does not hold the chunk.
    """

    id: str
    score: float
    text: str
    metadata: Metadata
    highlights: Sequence[tuple[int, int]] = ()
    """Where words of the query stand in `text`: (start, end) in code points."""
    dense_rank: int | None = None
    sparse_rank: int | None = None
    stage: Stage = "written"
    """How far its document has come: `prepared` has its words, `embedded` its vectors, `written` is in the vector store."""
    recorded_at: float | None = None
    """When syncd indexed this version of the document, seconds since 1970; None for what is not there yet, and rows syncd did not write."""
    lag_s: float | None = None
    """How long after its change at the source that was, where the source says when it changed."""
    also: Sequence[str] = field(default_factory=tuple[str, ...])
    """Ids of the document's other hits, best first, where hits are grouped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits, best first, and what they lack: `notices` for people, and the share of the collection's chunks that have
    vectors, where a ranking by vectors was asked for.
    """

    hits: Sequence[SearchHit]
    notices: Sequence[str] = ()
    coverage: float | None = None
