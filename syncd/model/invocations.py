"""Invocations: requests for one run each, with their state and counts."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import datetime
from enum import StrEnum

from syncd.model.records import Target
from syncd.model.requests import Request


class DocumentState(StrEnum):
    """A document's outcome in a run. `INDEXED`, `SKIPPED` and `FAILED` are also states of its record."""

    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    SKIPPED = "skipped"
    FAILED = "failed"


class State(StrEnum):
    """The state of an invocation."""

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


class SlotKind(StrEnum):
    """What has slots of its own, so that it never waits for the others: runs over whole sources, over single objects, and uploads."""

    WHOLE = "whole"
    OBJECT = "object"
    UPLOAD = "upload"


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
    warned: int = 0
    """Of the indexed ones, how many have warnings."""

    @property
    def is_fruitless(self) -> bool:
        """Whether documents failed or were skipped, and none was indexed or found as it was."""
        return bool(self.failed + self.skipped) and not self.indexed + self.unchanged

    def plus(self, other: Counts) -> Counts:
        """Return the sums, field by field."""
        return Counts(*(own + added for own, added in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Invocation:
    """One sync run over a source into one collection."""

    id: str
    source_id: str
    target: Target
    origin: Origin
    request: Request
    """What was requested, apart from the target."""
    state: State
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    """Why it failed, is waiting or, if it is complete, is incomplete in what it saw of its source."""
    counts: Counts = field(default_factory=Counts)
    attempts: int = 0
    bugs: int = 0
    """Number of attempts that ended in a bug."""
    not_before: datetime | None = None
    """When it is tried next, or was last, where it has to wait for that."""
