"""What is kept: sources as they are stored, and how their documents are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal

from typing_extensions import TypeVar


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWatch:
    """Keeps one collection in step with what is noticed of a source: a branch that moves, a folder that changes."""

    target_collection_name: str
    branch: str | None = None
    """Of a repository; None is its default branch."""
    interval_s: float | None = None
    """How often to ask, where changes are not announced; None is the source type's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSchedule:
    """Runs the source again every so often, into one collection."""

    interval_s: float
    target_collection_name: str | None = None
    """None is the source's own collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """What a source was told; each source type adds its own fields, named as the stored JSON names them."""

    collection_name: str | None = None
    """Where documents go unless another collection is named; also the one a source was declared with."""
    converter: str | None = None
    """What turns documents into text; None is the built-in one."""
    watch: SourceWatch | None = None
    schedule: SourceSchedule | None = None

    @property
    def place(self) -> str:
        """What the source points at, for people."""
        return ""

    @property
    def follows_events(self) -> bool:
        """Whether changes are announced to the source, so that it needs neither watch nor schedule."""
        return False

    @property
    def default_collection(self) -> str | None:
        """The collection a run writes to when none is named; None: one must be."""
        trigger = self.watch or self.schedule
        return (trigger and trigger.target_collection_name) or self.collection_name

    @property
    def kept_collection(self) -> str | None:
        """The one collection that the source keeps in step by itself; None: it is synced only when asked."""
        return self.default_collection if self.watch or self.schedule or self.follows_events else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSettings(SourceSettings):
    """Stored settings that are none of their type: kept as they are, so that one such source stops no other."""

    values: Mapping[str, Any]
    reason: str
    """For people: what is wrong, and what to do."""


S_co = TypeVar("S_co", bound=SourceSettings, covariant=True, default=SourceSettings)


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """In what source types differ for those who know none by name."""

    finishes_collection: bool = False
    """A complete run that somebody asked for closes its collection (`finished_ingest`), unless the source keeps it."""
    adopts_embedding: bool = False
    """A run that names no embedding takes the one its collection has; the source's own is for new collections."""
    accepts_ref: bool = False
    """A run may name a branch or a commit."""
    has_own_collection: bool = False
    """Every source says where its documents go, so that a run need not."""
    backfills: bool = False
    """A run over the whole source is a backfill: single objects overtake it."""
    no_runs: str = ""
    """Why nobody can ask for a run, and what to do instead; empty: runs can be asked for."""
    no_dry_run: str = ""
    """Why there is no dry run; empty: there is one."""


@dataclass(frozen=True, slots=True)
class SourceRecord(Generic[S_co]):
    """One configured source, as the store keeps it."""

    id: str
    type: str
    """The published name of its type."""
    database: str
    settings: S_co
    embedding: Embedding
    chunking: Chunking
    created_at: datetime
    name: str | None = None
    """Set for sources declared in the configuration file, where it is unique."""
    facts: SourceFacts = SourceFacts()

    def keeps(self, collection: str) -> bool:
        """Return whether the source keeps this collection in step by itself."""
        return self.settings.kept_collection == collection
