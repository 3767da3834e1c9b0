"""The stages of a document's text: parts, chunks, vectors, and the protocols that produce them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Protocol, runtime_checkable

from syncd.model.records import Chunking, EmbeddingTask
from syncd.model.values import Vectors
from syncd.model.warnings import Warnings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TextKind = Literal["markdown", "text"]


@dataclass(frozen=True, slots=True)
class PageMark:
    """From byte `start_byte` of its part on, the text stands on this page (slide, sheet); numbers count from 1."""

    start_byte: int
    page: int
    label: str = ""


class LineMark(NamedTuple):
    """From byte `start_byte` of its part on, the text is what stands on these lines of the file, counted from 1."""

    start_byte: int
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of a parsed document's text; a document is its parts in order, joined without separator."""

    text: str
    kind: TextKind
    pages: tuple[PageMark, ...] = ()
    title: str = ""
    lines: tuple[LineMark, ...] = ()
    """Where the text is on other lines of the file than here."""


class ChunkSpan(NamedTuple):
    """Where a chunk's text stands in the document's text (UTF-8 bytes from 0, end excluded; lines from 1, end included)."""

    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    page: int | None = None
    page_label: str = ""
    last_page: int | None = None
    """The page on which the text ends, if it differs from the one on which it begins."""


ChunkingStage = Literal["code", "markdown", "lines", "whole"]


class Chunk(NamedTuple):
    """A piece of a document's text. `text` is stored; `context` + `text` is what is embedded and sparse-indexed."""

    text: str
    span: ChunkSpan
    stage: ChunkingStage
    language: str = ""
    symbol: str = ""
    symbol_kind: str = ""
    scope: tuple[str, ...] = ()
    """Enclosing names or heading path, outermost first."""
    context: str = ""
    """Breadcrumb (path, scope, table header), ends with a newline when not empty; nothing volatile in it."""
    note: str = ""
    """Why a lower stage was used, e.g. 'minified', 'no grammar'."""

    @property
    def embedded_text(self) -> str:
        """Return what the model sees, before any prompt."""
        return self.context + self.text


class Preparer(Protocol):
    """Files to chunks, in processes of its own."""

    def fingerprint(self, name: str, media_type: str | None) -> str:
        """Return what, besides its bytes, decides the document's text; '' for the default settings."""
        ...

    def prepare(
        self,
        file: BinaryIO,
        name: str,
        media_type: str | None,
        path: str,
        chunking: Chunking,
        warnings: Warnings | None = None,
        *,
        urgent: bool = False,
    ) -> AsyncGenerator[Sequence[Chunk]]:
        """Yield the document's chunks in order, in batches that bound memory; none for an empty file. Twice is safe.

        The name, or without a suffix the media type, says how it is read; `path` is what breadcrumbs show. `warnings`, when
        the last batch has come, holds what was guessed or left out. Waits for a process; `urgent` documents get the next
        one. Raises PermanentError in words its owner understands, also after batches were yielded: then none of them
        counts; RetryableError when no process starts.
        """
        ...


Role = Literal["document", "query"]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: ascending, distinct `indices` (uint32) and as many `values` (float64)."""

    indices: NDArray[np.uint32]
    values: NDArray[np.float64]


class SparseEncoder(Protocol):
    """One sparse model, ready."""

    @property
    def model(self) -> str:
        """The name sources use, e.g. 'Chroma/BM25'."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever vectors may; vectors stored under another fingerprint are computed again."""
        ...

    @property
    def predecessors(self) -> Sequence[SparseEncoder]:
        """Its earlier versions, with which texts that still have their vectors are searched until they have new ones."""
        ...

    @property
    def uses_idf(self) -> bool:
        """Whether a search weighs terms by how rare they are (BM25), or the vectors say all (learned models)."""
        ...

    async def encode(self, texts: Sequence[str], role: Role) -> Sequence[SparseVector]:
        """Return one vector per text, in their order. Raises PermanentError or RetryableError while the model is away."""
        ...

    def spans(self, text: str, query: SparseVector) -> Sequence[tuple[int, int]]:
        """Return where `text` has words of the query: (start, end) in code points, in order, not overlapping."""
        ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of a batch, in the order of its texts, and the tokens it cost."""

    vectors: Vectors
    tokens: int


class Embedder(Protocol):
    """One model, ready. Waits for room; queries overtake documents between batches."""

    @property
    def model(self) -> str:
        """The name sources use, e.g. 'Qwen/Qwen3-Embedding-0.6B'."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever vectors may: file hash, quantisation, pooling, length limit."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of every vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest text that is embedded in one piece; longer ones are averaged, and so blurred."""
        ...

    async def embed(
        self, texts: Sequence[str], role: Role, task: EmbeddingTask | None = None, *, urgent: bool = False
    ) -> Embedded:
        """Embed `texts` (each non-empty) with the role's prompt in front. `urgent` documents overtake others, as queries do.

        Raises PermanentError naming the text that cannot be embedded, RetryableError while the model is restarting.
        """
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """An embedder that has the model's own tokenizer at hand."""

    async def count_tokens(self, texts: Sequence[str], task: EmbeddingTask | None = None) -> Sequence[int]:
        """Return how many tokens each of these documents will cost to embed. Waits for the batch being computed, not longer.

        Raises PermanentError where one of them has no tokens, RetryableError while the model is restarting.
        """
        ...
