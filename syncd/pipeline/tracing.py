"""Where the time of each document goes: a trace of each version, with a span of every stage that it passes.

Between two stages a document lies in SQLite, and the daemon may have died there. So nothing is handed from stage to stage: the
trace's id is derived from what each of them knows of the document, and its spans come together in whatever process they were made.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Protocol

from syncd.model import DocumentState, SourceRecord
from syncd.store.collections import CollectionRecord

StageName = Literal["fetch", "prepare", "commit", "embed", "write"]
"""Fetched whole; parsed, cut and encoded; made durable; its missing vectors waited for and computed; staged and written."""
Notes = dict[str, str | int]
"""What a span says beside its document: counts and sizes, never text."""


@dataclass(frozen=True, slots=True)
class TraceId:
    """The ids of a version's trace: 16 and 8 bytes of a hash, as W3C Trace Context and OpenTelemetry have them.

    The same version, prepared in the same way, always has the same: what is repeated after a crash or a failure is in one trace.
    """

    trace: int
    document_span: int
    """The id of the span that is above those of all stages."""


def trace_id_of(collection_id: int, source_id: str, key: str, version: str, fingerprint: str) -> TraceId:
    """Return the ids of a document's trace in a collection; `fingerprint` is that of how it is prepared."""
    parts = (str(collection_id), source_id, key, version, fingerprint)
    digest = sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
    return TraceId(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]))


class Trace(Protocol):
    """One version's trace. Nothing here waits or raises, whatever becomes of the spans."""

    def begin(self) -> None:
        """Let the document's span begin now, unless it has begun. It is sent when it ends."""
        ...

    def stage(self, name: StageName) -> AbstractContextManager[Notes]:
        """Return a context that is the stage's span; it takes notes, and an error that passes through it."""
        ...

    def spent(self, name: StageName, since: float, notes: Notes) -> None:
        """Add a stage that lasted from `since`, in seconds since 1970, until now."""
        ...

    def end(self, state: DocumentState, reason: str, notes: Notes, since: float | None = None) -> None:
        """End the document's span. One that this process did not begin is from `since`; without that, it has ended already."""
        ...


class Tracer(Protocol):
    """Makes traces."""

    @property
    def dropped(self) -> int:
        """How many spans nobody received, since the start."""
        ...

    def know(self, *records: SourceRecord | CollectionRecord) -> None:
        """Learn what sources and collections are called now."""
        ...

    def of(self, owner: tuple[int, str, str], version: str, fingerprint: str) -> Trace:
        """Return the trace of a version of the document of that collection, source and key."""
        ...

    async def close(self) -> None:
        """Send what is left, for two seconds at most. Nothing is traced afterwards."""
        ...


class Untraced:
    """Tracer and trace where nothing is traced: every call returns at once."""

    dropped = 0

    def know(self, *records: SourceRecord | CollectionRecord) -> None:
        """Return."""

    def of(self, owner: tuple[int, str, str], version: str, fingerprint: str) -> Trace:
        """Return itself."""
        return self

    async def close(self) -> None:
        """Return."""

    def begin(self) -> None:
        """Return."""

    def stage(self, name: StageName) -> AbstractContextManager[Notes]:
        """Return a context that does nothing."""
        return nullcontext(Notes())

    def spent(self, name: StageName, since: float, notes: Notes) -> None:
        """Return."""

    def end(self, state: DocumentState, reason: str, notes: Notes, since: float | None = None) -> None:
        """Return."""


UNTRACED = Untraced()
