"""Sources as stored, and how their documents are prepared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    """How a collection's texts become vectors. `sparse_model` None: dense only.

    `dimensions`: how many of a vector's leading ones the collection holds; None: all. SQLite keeps whole vectors.
    """

    model: str = "Qwen/Qwen3-Embedding-0.6B"
    task: EmbeddingTask | None = None
    sparse_model: str | None = None
    sparse_key: str = "sparse_embedding"
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class Chunking:
    """How text is split. `max_size_bytes` is a hard limit; `target_size_bytes` is what syntax-aware chunks aim at."""

    type: Literal["tree_sitter", "lines"] = "tree_sitter"
    max_size_bytes: int = 8192
    target_size_bytes: int = 1500
    max_lines: int = 10
    breadcrumb: bool = True


SecretsPolicy = Literal["mask", "skip", "index"]
"""Keys and tokens in texts are masked, or their documents skipped, or they are indexed as they stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWatch:
    """Keeps one collection in sync by watching the source: a branch that moves, a folder that changes."""

    target_collection_name: str
    branch: str | None = None
    """The branch of a repository; None: the default branch."""
    interval_s: float | None = None
    """Polling interval, if changes are not announced; None: the source type's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSchedule:
    """Runs the source at a fixed interval, into one collection."""

    interval_s: float
    target_collection_name: str | None = None
    """None: the source's own collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """The settings of a source; each source type adds its own fields, named as in the stored JSON."""

    collection_name: str | None = None
    """The collection of documents unless a run names another one; also that of a declared source."""
    converter: str | None = None
    """The document converter; None: the built-in one."""
    secrets: SecretsPolicy | None = None
    """What becomes of keys and tokens in texts; None: they are masked."""
    watch: SourceWatch | None = None
    schedule: SourceSchedule | None = None
    max_lag_s: float | None = None
    """How long a change may take to become searchable before the source is called late; None: as long as it takes."""

    @property
    def place(self) -> str:
        """The location of the source, for display."""
        return ""

    @property
    def notice(self) -> str:
        """What of the settings may mean something else than they seem to; ''."""
        return ""

    @property
    def id_root(self) -> str:
        """What chunk ids are derived from, besides keys, where these alone would not do; '': the source's first name, or its id."""
        return ""

    @property
    def without_credential(self) -> SourceSettings:
        """The settings apart from the key that they are read with; sources that share these are the same."""
        return self

    def overlaps(self, other: SourceSettings) -> bool:
        """Return whether both bring the same documents into the same collection, whatever key they are read with: each would claim them.

        Never true of two whose `place` or collection is not the same.
        """
        del other
        return False

    @property
    def follows_events(self) -> bool:
        """Whether changes arrive as events, so that the source needs neither watch nor schedule."""
        return False

    @property
    def default_collection(self) -> str | None:
        """The collection of runs that name none; None: they must name one."""
        trigger = self.watch or self.schedule
        return (trigger and trigger.target_collection_name) or self.collection_name

    @property
    def kept_collection(self) -> str | None:
        """The one collection that the source keeps in sync automatically; None: it is synced only on demand."""
        return self.default_collection if self.watch or self.schedule or self.follows_events else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSettings(SourceSettings):
    """Stored settings that cannot be read: kept unchanged, so that one such source does not stop the others."""

    values: Mapping[str, Any]
    reason: str
    """What is wrong and what to do, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedSettings(UnreadableSettings):
    """Those of a source whose stored row is damaged: nothing that it says of the source can be believed, its type included."""


Leftover = TypeVar("Leftover")


def in_same_place(settings: SourceSettings, others: Iterable[tuple[Leftover, SourceSettings]]) -> Leftover | None:
    """Return which of `others` documents come from the same place as with `settings`, the most alike; None if none does."""
    alike = [
        (
            (
                other.without_credential == settings.without_credential,
                other.default_collection == settings.default_collection,
            ),
            one,
        )
        for one, other in others
        if settings.place and other.place == settings.place
    ]
    return max(alike, key=lambda pair: pair[0])[1] if alike else None


S_co = TypeVar("S_co", bound=SourceSettings, covariant=True, default=SourceSettings)


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """Properties of a source type, for code that refers to no type by name."""

    finishes_collection: bool = False
    """A complete run closes its collection (`finished_ingest`), unless the source keeps it in sync."""
    adopts_embedding: bool = False
    """A run that names no embedding uses its collection's; the source's own is for new collections."""
    accepts_ref: bool = False
    """A run may name a branch or a commit."""
    has_own_collection: bool = False
    """Every source has a collection of its own, so that a run need not name one."""
    backfills: bool = False
    """A run over the whole source is a backfill: single objects overtake it."""
    no_runs: str = ""
    """Why runs cannot be requested, and what to do instead; empty: they can be."""
    no_dry_run: str = ""
    """Why dry runs are not supported; empty: they are."""


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
    """Unique in its database; that of a declared one in all."""
    facts: SourceFacts = SourceFacts()
    id_root: str = ""
    """What its chunk ids are derived from, besides keys, where these alone would not do: see `SourceSettings`."""
    is_declared: bool = False
    """Whether it is declared in the configuration file, whose owner may read what others may not."""
    paused_at: datetime | None = None
    """Since when nothing is done of what is asked of it."""

    def keeps(self, collection: str) -> bool:
        """Return whether the source keeps this collection in sync automatically."""
        return self.settings.kept_collection == collection

    def keeps_place(self, target: Target) -> bool:
        """Return whether it is the collection of this very database."""
        return self.database == target.database and self.keeps(target.collection)
