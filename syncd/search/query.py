"""Queries and hits: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from syncd.model import Metadata, Target
from syncd.search.fuse import Fusion
from syncd.search.paths import SoughtContent
from syncd.search.rules import RuleName
from syncd.store.chunks import Stage

Mode = Literal["dense", "sparse", "hybrid", "phrase", "regex"]
EXACT: frozenset[Mode] = frozenset(["phrase", "regex"])
"""Modes that match the stored text itself."""
BY_MEANING: frozenset[Mode] = frozenset(["dense", "hybrid"])
SECTION: Literal["section"] = "section"
Expand = int | Literal["section"]
"""What is shown around a hit: so many lines before and after it, or the section or definition that it is in."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query: the text, the collection, filters, and the part of the ranking that is wanted."""

    target: Target
    text: str
    mode: Mode = "dense"
    limit: int = 10
    """The most hits."""
    offset: int = 0
    where: Mapping[str, Any] | None = None
    where_document: Mapping[str, Any] | None = None
    source_ids: Sequence[str] = ()
    """Only hits from these sources; none: from all."""
    paths: Sequence[str] = ()
    """Only hits whose key matches one of these: `*` is any characters, slashes included, `?` one character; without either, a prefix."""
    languages: Sequence[str] = ()
    """Only chunks in one of these languages, in lower case, as chunks name theirs."""
    content: SoughtContent | None = None
    """Only documents of this kind, by their keys."""
    modified_after: float | None = None
    """Only documents whose source says that they changed at this moment or later, seconds since 1970."""
    expand: Expand | None = None
    """What is shown around each hit; hits of one document that touch are shown as one."""
    max_tokens: int | None = None
    """The most tokens of all hits together, as `token_estimate` counts them: the best hits that fit; None: no limit."""
    group: bool = False
    """Only the best hit of each document; `limit` and `offset` then count documents."""
    fusion: Fusion | None = None
    """How a hybrid search weighs its rankings; None: as the collection and the query ask for."""
    rules: frozenset[RuleName] | None = None
    """The ranking rules to apply; None: `order.UNASKED` to hits by words or by both where these are code and no fusion is given."""
    rerank: bool | None = None
    """Whether the first hits are put in order by the reranker where they are prose; None: as the configuration says."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One chunk that answers a query; a higher score is better.

    `score`: cosine similarity (dense), BM25 or dot product (sparse), fused ranks (hybrid), matches (phrase, regex). Ranks count from 1, over all
    chunks that pass the filters; None if the chunk is not in that ranking.
    """

    id: str
    score: float
    text: str
    metadata: Metadata
    collection: str = ""
    highlights: Sequence[tuple[int, int]] = ()
    """Where `text` contains words of the query: (start, end) in code points."""
    dense_rank: int | None = None
    sparse_rank: int | None = None
    stage: Stage = "written"
    """How far its document has come: `prepared` has its words, `embedded` its vectors, `written` is in the vector store."""
    recorded_at: float | None = None
    """When syncd indexed this version of the document, seconds since 1970; None for what is not there yet, and rows syncd did not write."""
    lag_s: float | None = None
    """Seconds from the change at the source to `indexed_at`; None if the source does not say when it changed."""
    also: Sequence[str] = field(default_factory=tuple[str, ...])
    """Ids of the document's other hits, best first, where hits are grouped, copies folded, or neighbours joined."""
    document_id: int | None = None
    """As in FoundChunk; None for rows that syncd did not write."""
    place: int = 0
    """How many hits of the ranking come before it."""
    lines: tuple[int, int] | None = None
    """First and last line of `text` in the document, where it is another text than the chunk's."""
    own_start: int = 0
    """Where the chunk's own text begins in `text`, in code points: lines before it may have been added."""
    cut: bool = False
    """Whether `text` ends before the chunk does, at the end of a line: there was no room for more."""

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last line of `text` in the document; None where that is not known."""
        first, last = self.metadata.get("start_line"), self.metadata.get("end_line")
        return self.lines or ((first, last) if isinstance(first, int) and isinstance(last, int) else None)


def moved(highlights: Sequence[tuple[int, int]], by: int, length: int) -> tuple[tuple[int, int], ...]:
    """Return highlights `by` code points further on, those that lie in a text of this length."""
    return tuple((start + by, end + by) for start, end in highlights if start + by >= 0 and end + by <= length)


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits, best first, and what they lack: `notices` for people, and the share of the collection's chunks that have
    vectors, where a ranking by vectors was asked for.
    """

    hits: Sequence[SearchHit]
    notices: Sequence[str] = ()
    coverage: float | None = None
    next_offset: int | None = None
    """The `offset` from which to go on, where hits were left out to stay within `max_tokens`."""
