"""What may be asked of a document in the store, and what came of it. Plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from syncd.errors import ConflictError
from syncd.model import DocumentState, DocumentWarning
from syncd.store.postings import Posting


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk ready to be stored; its vector is in the cache under `vector_key`.

    Its document's number of chunks is added to the metadata when it is staged.
    """

    text: str
    context: str
    vector_key: bytes
    metadata: Mapping[str, Any]
    posting: Posting | None = None
    """Its sparse vector, where the collection keeps any."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A document's new content in one collection. `seen` is the number of the run that brought it."""

    collection_id: int
    source_id: str
    key: str
    prefix: str
    version: str
    fingerprint: str
    content_hash: str
    seen: int
    chunks: Collection[NewChunk]
    changed_at: float | None = None
    warnings: Sequence[DocumentWarning] = ()
    other_prefix: str = ""
    """In place of `prefix` where a source with another root has that; '': nothing is."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A prepared document whose vectors are all there. Nothing happens if that version has been replaced meanwhile."""

    collection_id: int
    source_id: str
    key: str
    version: str
    fingerprint: str
    prepared_id: int
    chunks: int
    urgent: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """A document that is gone from its source, or that may not stay (`state`, `reason`) in this version."""

    collection_id: int
    source_id: str
    key: str
    version: str = ""
    fingerprint: str = ""
    state: DocumentState | None = None
    reason: str = ""
    seen: int = 0
    warnings: Sequence[DocumentWarning] = ()
    """What there is to say of a version that stays out, beside the reason."""


class Urgency(IntEnum):
    """Whose vectors are computed first."""

    BACKFILL = 0
    """The first run over a source."""
    CHANGE = 1
    """A run that goes on from a cursor."""
    OBJECT = 2
    """One object, asked for or told of by an event."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """One prepared version. `wanted` chunks still have no vector; `embedded` of them had none when it was put."""

    id: int
    collection_id: int
    source_id: str
    key: str
    version: str
    fingerprint: str
    seen: int
    chunks: int
    urgency: int
    wanted: int
    embedded: int
    tokens: int
    warnings: int = 0
    """How many kinds of warnings it has."""
    prepared_at: float = 0.0
    """When it was put, in seconds since 1970."""

    @property
    def owner(self) -> tuple[int, str, str]:
        """Collection, source and key: where the document is recorded."""
        return self.collection_id, self.source_id, self.key

    @property
    def promotion(self) -> Promotion:
        """Return the change that hands it on to the vector store."""
        return Promotion(*self.owner, self.version, self.fingerprint, self.id, self.chunks, urgent=self.urgency > 0)


DocumentChange = Replacement | Promotion | Removal


@dataclass(frozen=True, slots=True)
class Staged:
    """What a change means for the vector store, by chunk ids. `error`: it was refused and nothing happened; so with `overtaken`:
    that version has been replaced or taken back, or was damaged and is asked of its source again.
    """

    collection_id: int
    written: int = 0
    updated: int = 0
    deleted: int = 0
    chunk_ids: Sequence[str] = field(default_factory=tuple)
    error: ConflictError | None = None
    overtaken: bool = False
