"""What is asked for and kept: sources as they are stored, and invocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """The one collection an invocation writes to."""

    database: str
    collection: str


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

    def keeps(self, collection: str) -> bool:
        """Return whether the source keeps this collection in step by itself."""
        kept: Mapping[str, Any] = self.settings.get("watch") or self.settings.get("schedule") or {}
        own = kept.get("target_collection_name") or self.settings.get("collection_name")
        return bool(kept) and own == collection


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
    """Why it failed, waits or, when it is complete all the same, could not see its source whole."""
    counts: Counts = field(default_factory=Counts)
    attempts: int = 0
    bugs: int = 0
    """How many of the attempts ended in a bug."""
