"""One document's job and its result, and the decision whether a known document must be prepared again. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256

import anyio

from syncd.model import Document, DocumentState, Embedder, SourceRecord
from syncd.pipeline.effects import Effects
from syncd.pipeline.result import Result
from syncd.store.changes import Urgency
from syncd.store.codec import dumps
from syncd.store.collections import CollectionRecord
from syncd.store.documents import DocumentRecord
from syncd.store.marks import Mark, mark_of

PIPELINE_VERSION = 6
"""Raise it when parsers or chunkers produce a different result from the same bytes; documents are then prepared again
when next seen."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What all documents of a run share: source, collection, configuration and effects."""

    number: int
    """The run's place in the order of all runs."""
    source: SourceRecord
    """The source, configured as the run's request asks."""
    collection: CollectionRecord
    effects: Effects
    """Real effects, or those of a dry run."""
    config_hash: str
    """Identifies the configuration with which documents are prepared."""
    home: str = ""
    """The name under which the collection is to answer, where it is built beside the one that has it; '': its own."""
    last_chance: bool = False
    """Record a document as failed when it cannot be had now, instead of trying the run again."""
    cancelled: anyio.Event = field(default_factory=anyio.Event, repr=False, compare=False)
    """Set once nobody wants the run's documents any more."""


@dataclass(frozen=True, slots=True)
class DocumentJob:
    """One document to be made true in one run's collection."""

    document: Document
    run: RunPlan
    urgency: Urgency = Urgency.BACKFILL
    is_gone: Callable[[], Awaitable[bool]] | None = None
    """Called, with the document's key locked, before a document missing from a listing is deleted."""

    @property
    def owner(self) -> tuple[int, str, str]:
        """Collection, source and key: where the document is recorded."""
        return self.run.collection.id, self.run.source.id, self.document.key

    @property
    def mark(self) -> Mark:
        """The document's mark while it is in hand."""
        return mark_of(self.run.source.id, self.document.key, self.document.version)


def pipeline_fingerprint(job: DocumentJob, embedder: Embedder, parsing: str = "") -> str:
    """Return what, beside its bytes, decides a document's chunks; when it changes, the document is made anew.

    `parsing` is the preparer's fingerprint.
    """
    task = job.run.source.embedding.task
    chunking = job.run.source.chunking
    parts = [
        PIPELINE_VERSION,
        embedder.fingerprint,
        task.document_prompt if task else None,
        [chunking.type, chunking.max_size_bytes, chunking.target_size_bytes, chunking.max_lines, chunking.breadcrumb],
        job.document.chunk_prefix,
        job.document.name,
        dict(job.document.metadata),
        *([parsing] if parsing else []),
    ]
    return sha256(dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


def config_hash_of(source: SourceRecord, parsing: str, model_file: str) -> str:
    """Return what of the configuration decides how a source's documents are made; a cursor holds for one configuration only.

    `dimensions` do not: the same vectors are kept, only the collection holds less of them.
    """
    embedding = asdict(source.embedding)
    del embedding["dimensions"]
    made_with = [PIPELINE_VERSION, embedding, asdict(source.chunking), parsing, model_file]
    return sha256(dumps(made_with).encode()).hexdigest()


def is_current(known: DocumentRecord, version: str, fingerprint: str) -> bool:
    """Return whether this version was already indexed or skipped; failures are retried."""
    return (
        known.version == version
        and known.fingerprint == fingerprint
        and known.state in (DocumentState.INDEXED, DocumentState.SKIPPED)
    )


def is_same_content(job: DocumentJob, known: DocumentRecord, fingerprint: str, content_hash: str) -> bool:
    """Return whether the document has a new time stamp but its indexed content; other versions stand in the metadata."""
    if not job.document.weak_version:
        return False
    return (
        known.state is DocumentState.INDEXED and known.fingerprint == fingerprint and known.content_hash == content_hash
    )


def unchanged(job: DocumentJob, known: DocumentRecord) -> Result:
    """Return the result of a document that needed nothing."""
    state = DocumentState.UNCHANGED if known.state is DocumentState.INDEXED else DocumentState.SKIPPED
    return Result(job.document.key, state, known.reason, known.version, chunks=known.chunk_count)
