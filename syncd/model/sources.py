"""What a source yields, and the protocols between it and a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO, Protocol, runtime_checkable

from syncd.model.invocations import Invocation
from syncd.model.values import Metadata, Scalar


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
    display_name: str = ""
    """What breadcrumbs show and the language is told by, where that is neither `name` nor the key."""
    media_type: str | None = None
    metadata: Metadata = field(default_factory=dict[str, Scalar])
    """Merged into every chunk's metadata (custom_id, commit, url, …)."""
    changed_at: datetime | None = None
    """When the source changed, where it says so; lag is counted from here."""
    weak_version: bool = False
    """The version may change although the bytes do not (a time stamp): chunks then name the content's hash instead."""
    anchors: tuple[tuple[int, str], ...] = ()
    """(start byte in the body, URL fragment) in order: a chunk belongs to the last one at or before its start."""
    again: Callable[[], Awaitable[Document]] | None = field(default=None, compare=False, repr=False)
    """Looks at it again, for a body that raised OvertakenError. Raises RetryableError, PermanentError."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything yielded since the run began (or the last checkpoint) is the whole difference up to `cursor`.

    `absent_are_gone`: the run listed the source completely, so what it holds of this source and was not yielded in this
    run no longer exists. A partial listing (limit reached, outage) must never claim this.

    `incomplete`: why the run could not see all that it was to see, or ''. Then nothing is deleted for being absent, the
    run's collection stays open, and people are told. A limit that somebody set is no reason.
    """

    cursor: str
    absent_are_gone: bool = False
    is_mark: bool = False
    """Only a place to go on from: what follows need not wait until everything before it is written."""
    incomplete: str = ""
    again_after_s: float | None = None
    """When another run may see what this one could not, where the source knows."""


@dataclass(frozen=True, slots=True)
class Total:
    """The run will yield about so many documents: yielded early, where it is cheap to know, for progress only."""

    documents: int


class Known(Protocol):
    """What is already indexed of one source in one collection."""

    async def version(self, key: str) -> str | None:
        """Return the indexed version of `key`, '' where one is on its way and none is indexed, or None."""
        ...

    async def owner(self, prefix: str) -> str | None:
        """Return the key whose chunks are `{prefix}-…` in this collection, where it is of this source, or None."""
        ...

    def keys(self) -> AsyncIterator[str]:
        """Yield every key that is indexed or on its way, in key order, with bounded memory."""
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
    config_hash: str = ""
    """How the source's documents are made; what a source remembers of a run with another configuration leads nowhere now."""


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


def chunk_prefix(key: str, custom_id: str | None = None) -> str:
    """Return the documented prefix of a document's chunk ids: `custom_id`, or the SHA-256 of the key."""
    return custom_id or sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
