"""What a source yields, and the protocols between it and a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO, Protocol, runtime_checkable

from syncd.model.invocations import Invocation
from syncd.model.values import Metadata, Scalar
from syncd.model.warnings import DocumentWarning


class Body(Protocol):
    """A document's bytes, fetched only when opened."""

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield a readable, seekable binary file positioned at 0; small ones in memory, large ones spooled to disk.

        May wait for the network. Twice is safe. Raises RetryableError, PermanentError or Skipped.
        """
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """One thing a source holds. `body` None means that it is gone, so its chunks must be deleted."""

    key: str
    """Unique within the source and meaningful to people (path, object key, URL, file name)."""
    version: str
    """Opaque; equal versions of one key mean equal bytes. '' when gone."""
    body: Body | None
    chunk_prefix: str
    """Chunk ids are `{chunk_prefix}-{number}`: `sha256(key)` or a custom id, see `chunk_prefix()`."""
    other_prefix: str = ""
    """In place of `chunk_prefix` where a document of a source with another `id_root` has that in the collection; '': nothing is."""
    name: str = ""
    """File name whose suffix decides the format, where it is not the key's last segment."""
    display_name: str = ""
    """The path shown in breadcrumbs, which also decides the language, if it is neither `name` nor the key."""
    media_type: str | None = None
    metadata: Metadata = field(default_factory=dict[str, Scalar])
    """Merged into every chunk's metadata (custom_id, commit, url, …)."""
    changed_at: datetime | None = None
    """When the document changed, if the source says so; lag is measured from here."""
    weak_version: bool = False
    """The version (such as a time stamp) may change without the bytes; chunks then record the content's hash instead."""
    anchors: tuple[tuple[int, str], ...] = ()
    """(start byte in the body, URL fragment) in order: a chunk belongs to the last one at or before its start."""
    warnings: tuple[DocumentWarning, ...] = ()
    """What the source itself guessed or left out."""
    again: Callable[[], Awaitable[Document]] | None = field(default=None, compare=False, repr=False)
    """Returns the document's current state, for a body that raised OvertakenError. Raises RetryableError, PermanentError."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why documents that are missing may not be gone: deletes of those that would be lost wait for somebody to confirm them."""

    reason: str
    prefixes: tuple[str, ...] = ("",)
    """What the keys of such documents begin with."""

    def of(self, keys: Iterable[str]) -> frozenset[str]:
        """Return which of these keys it is about."""
        return frozenset(key for key in keys if key.startswith(self.prefixes))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """States that everything yielded since the run began (or the last checkpoint) is the whole difference up to `cursor`.

    `absent_are_gone`: the run listed the source completely, so indexed documents of this source that were not yielded
    in this run no longer exist. A partial listing (limit reached, outage) must never claim this.

    `incomplete`: why the run could not see all of the source, or ''. Then no missing documents are deleted, the
    collection stays open, and the reason is reported. A configured limit does not count.
    """

    cursor: str
    absent_are_gone: bool = False
    is_mark: bool = False
    """Only a place to go on from: what follows need not wait until everything before it is written."""
    incomplete: str = ""
    suspicion: Suspicion | None = None
    """Why what is missing may not be gone."""
    again_after_s: float | None = None
    """When another run may see what this one could not, if the source knows."""


@dataclass(frozen=True, slots=True)
class Total:
    """The approximate number of documents the run will yield; yielded early if cheap to know, for progress only."""

    documents: int


class Known(Protocol):
    """What of one source is indexed in one collection, or on its way there: durable, and neither fetched nor parsed again."""

    async def version(self, key: str) -> str | None:
        """Return the version of `key` that is on its way, the indexed one where none is, or None."""
        ...

    async def owner(self, prefix: str) -> str | None:
        """Return the key of this source whose chunk ids in this collection are `{prefix}-…`, or None."""
        ...

    def keys(self) -> AsyncIterator[str]:
        """Yield every key that is indexed or on its way, in key order, with bounded memory."""
        ...


Changes = AsyncGenerator[Document | Checkpoint | Total, None]
"""What a run of a source yields, lazily."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a source needs to know to yield its changes."""

    invocation: Invocation
    cursor: str | None
    """The last saved checkpoint of this source in this collection; None on the first run, and where everything is to be looked at again."""
    known: Known
    keys: frozenset[str] | None = None
    """Check only these keys, whatever their indexed version (a run for one object, a retry)."""
    config_hash: str = ""
    """Identifies how the source's documents are prepared; what a source stored under another value is no longer valid."""
    home: str = ""
    """The name under which the collection is to answer, where it is built beside the one that has it; '': its own."""
    earlier_cursor: str | None = None
    """The last saved checkpoint, also one that does not count any more: it tells what the source was."""

    @property
    def collection(self) -> str:
        """The name by which the source's settings and labels know the collection."""
        return self.home or self.invocation.target.collection


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
    """A source whose listing may be outdated by events: it is asked again before a missing document is deleted."""

    async def is_gone(self, key: str, collection: str, *, is_left: bool = False) -> bool:
        """Return whether the source currently has no such document for that collection. Raises RetryableError.

        With `is_left` the source keeps another collection by now, and this one holds only what is assigned to it by name.
        """
        ...


def chunk_prefix(key: str, custom_id: str | None = None) -> str:
    """Return the prefix of a document's chunk ids: `custom_id`, or the SHA-256 of the key."""
    return custom_id or sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
