"""The nouns of syncd and the protocols between its layers: plain values in, plain values out, no I/O.

A Source yields Documents and Checkpoints; a Document is parsed into Parts, Parts are split into Chunks, Chunks are
embedded and indexed; an Invocation asks for one such run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, BinaryIO, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar | Sequence[Scalar]]
Vectors = NDArray[np.float32]
"""Shape (texts, dimensions), rows L2-normalised."""


@dataclass(frozen=True, slots=True)
class Target:
    """The one collection an invocation writes to."""

    database: str
    collection: str


# --- configuration of a source, as stored -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EmbeddingTask:
    """Prompts put in front of texts before they are embedded; None means the model's own default."""

    name: str
    document_prompt: str | None = None
    query_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """How a collection's texts become vectors. `sparse_model` None: dense only."""

    model: str = "Qwen/Qwen3-Embedding-0.6B"
    task: EmbeddingTask | None = None
    sparse_model: str | None = None
    sparse_key: str = "sparse_embedding"


@dataclass(frozen=True, slots=True)
class Chunking:
    """How text is split. `max_size_bytes` is a hard limit; `target_size_bytes` is what syntax-aware chunks aim at."""

    type: Literal["tree_sitter", "lines"] = "tree_sitter"
    max_size_bytes: int = 8192
    target_size_bytes: int = 1500
    max_lines: int = 10
    breadcrumb: bool = True


class SourceType(StrEnum):
    """The published source types and `folder`, our own."""

    S3 = "s3"
    GITHUB = "github"
    WEB = "web_scrape"
    UPLOAD = "file_upload"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One configured source, as the store keeps it. `settings` is the type's own validated configuration (JSON values)."""

    id: str
    type: SourceType
    database: str
    settings: Mapping[str, Any]
    embedding: Embedding
    chunking: Chunking
    created_at: datetime
    name: str | None = None
    """Set for sources declared in the configuration file, where it is unique."""


# --- invocations --------------------------------------------------------------------------------------------------


class State(StrEnum):
    """Where an invocation stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Origin(StrEnum):
    """Who asked for the run; events and queries overtake backfills."""

    API = "api"
    EVENT = "event"
    WATCH = "watch"
    SCHEDULE = "schedule"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Counts:
    """Progress of one invocation. `found` = done + skipped + failed when the run is over."""

    found: int = 0
    indexed: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    failed: int = 0
    held_deletes: int = 0
    chunks_written: int = 0
    chunks_deleted: int = 0
    chunks_embedded: int = 0
    chunks_reused: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Invocation:
    """One sync run over a source into one collection."""

    id: str
    source_id: str
    target: Target
    origin: Origin
    request: Mapping[str, Any]
    """What the caller asked for beyond the target: `ref`, `object_key`, `custom_id`, `metadata`, `keys`, … (JSON values)."""
    state: State
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    counts: Counts = field(default_factory=Counts)
    attempts: int = 0


# --- documents ----------------------------------------------------------------------------------------------------


class Body(Protocol):
    """A document's bytes, fetched only when somebody opens it."""

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield a readable, seekable binary file positioned at 0; small ones in memory, large ones spooled to disk.

        May wait for the network. Twice is safe. Raises RetryableError, PermanentError or Skipped.
        """
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """One thing a source holds. `body` None means that it is gone and its chunks must go too."""

    key: str
    """Unique within the source; what people recognise (path, object key, URL, file name)."""
    version: str
    """Opaque; equal versions of one key mean equal bytes. '' when gone."""
    body: Body | None
    chunk_prefix: str
    """Chunk ids are `{chunk_prefix}-{number}`: `sha256(key)` or a custom id, see `chunk_prefix()`."""
    name: str = ""
    """File name whose suffix decides the format, where it is not the key's last segment."""
    media_type: str | None = None
    metadata: Metadata = field(default_factory=dict[str, Scalar])
    """Merged into every chunk's metadata (custom_id, commit, url, …)."""
    changed_at: datetime | None = None
    """When the source changed, where it says so; lag is counted from here."""
    anchors: tuple[tuple[int, str], ...] = ()
    """(start byte in the body, URL fragment) in order: a chunk belongs to the last one at or before its start."""
    again: Callable[[], Awaitable[Document]] | None = field(default=None, compare=False, repr=False)
    """Looks at it again, for a body that raised OvertakenError. Raises RetryableError, PermanentError."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything yielded since the run began (or the last checkpoint) is the whole difference up to `cursor`.

    `absent_are_gone`: the run listed the source completely, so what it holds of this source and was not yielded in this
    run no longer exists. A partial listing (limit reached, outage) must never claim this.
    """

    cursor: str
    absent_are_gone: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """The run will yield about so many documents: yielded early, where it is cheap to know, for progress only."""

    documents: int


class Known(Protocol):
    """What is already indexed of one source in one collection."""

    async def version(self, key: str) -> str | None:
        """Return the indexed version of `key`, or None."""
        ...

    async def owner(self, prefix: str) -> str | None:
        """Return the key whose chunks are `{prefix}-…` in this collection, where it is of this source, or None."""
        ...

    def keys(self) -> AsyncIterator[str]:
        """Yield every indexed key, in key order, with bounded memory."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """What a source needs to know to say what changed."""

    invocation: Invocation
    cursor: str | None
    """The last saved checkpoint of this source in this collection; None on the first run."""
    known: Known
    keys: frozenset[str] | None = None
    """Look at these keys only, whatever their indexed version (an object invocation, a retry)."""


class Source(Protocol):
    """One configured source, open for work."""

    def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint | Total]:
        """Yield what differs from `run.cursor`, lazily, ending with a Checkpoint.

        Yielding an unchanged document is allowed and cheap: its body is not opened when the version is already indexed.
        Raises RetryableError (the run is tried again from its cursor) or PermanentError (the run fails with that message).
        """
        ...


@runtime_checkable
class Rechecking(Protocol):
    """A source whose listing may be overtaken by events: it is asked again before an absent document is deleted."""

    async def is_gone(self, key: str, collection: str) -> bool:
        """Return whether the source still has no such document for that collection. Raises RetryableError."""
        ...


# --- text ---------------------------------------------------------------------------------------------------------

TextKind = Literal["code", "markdown", "text"]


@dataclass(frozen=True, slots=True)
class PageMark:
    """From byte `start_byte` of its part on, the text stands on this page (slide, sheet); numbers count from 1."""

    start_byte: int
    page: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a parsed document's text; a document is its parts in order, joined without separator."""

    text: str
    kind: TextKind
    pages: tuple[PageMark, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk's text stands in the document's text (UTF-8 bytes from 0, end excluded; lines from 1, end included)."""

    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    page: int | None = None
    page_label: str = ""
    last_page: int | None = None
    """Where the text ends, when that is another page than where it begins."""


Stage = Literal["code", "markdown", "lines", "whole"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document's text. `text` is stored; `context` + `text` is what is embedded and sparse-indexed."""

    text: str
    span: Span
    stage: Stage
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


OpenHeadings = Sequence[tuple[int, str]]
"""Level and text of the headings a place in a Markdown document stands under, outermost first."""


@dataclass(frozen=True, slots=True)
class Split:
    """The chunks of a stretch of a document, and the headings open at its end, under which the next stretch begins."""

    chunks: Sequence[Chunk]
    open_headings: OpenHeadings = ()


class Splitter(Protocol):
    """Splits parts into chunks, out of the event loop."""

    async def split(
        self, parts: Sequence[Part], path: str, chunking: Chunking, open_headings: OpenHeadings = ()
    ) -> Split:
        """Return the chunks of a stretch of a document. Raises PermanentError when the text cannot be split."""
        ...


class Parser(Protocol):
    """Bytes to text, in processes of its own."""

    def fingerprint(self, name: str, media_type: str | None) -> str:
        """Return what, beside its bytes, decides the text of the document; '' by default."""
        ...

    def parse(self, file: BinaryIO, name: str, media_type: str | None) -> AsyncIterator[Part]:
        """Yield the parts of one document. Raises PermanentError in words its owner understands."""
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
        """Changes whenever vectors may; what is stored under another one is made anew."""
        ...

    @property
    def rarity(self) -> bool:
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

    async def embed(self, texts: Sequence[str], role: Role, task: EmbeddingTask | None = None) -> Embedded:
        """Embed `texts` (each non-empty) with the role's prompt in front.

        Raises PermanentError naming the text that cannot be embedded, RetryableError while the model is restarting.
        """
        ...


def chunk_prefix(key: str, custom_id: str | None = None) -> str:
    """Return the documented prefix of a document's chunk ids: `custom_id`, or the SHA-256 of the key."""
    return custom_id or sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
