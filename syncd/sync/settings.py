"""Limits of concurrent work and of retries."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncd.runtime.retry import Backoff
from syncd.sync.deletes import DeleteGuard


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """Limits of concurrent work and of retries."""

    runs: int = 4
    object_runs: int = 16
    """Concurrent runs over single objects, and as many uploads; they never wait for whole runs, nor for each other."""
    object_patience_s: float = 10.0
    """An attempt at a single object that takes longer gives its slot back."""
    run_patience_s: float = 120.0
    """So does one at a whole source that has got no further for so long."""
    ingesters: int = 64
    document_patience_s: float = 20.0
    """While a document takes longer, another ingester works in the place of its own."""
    document_attempts: int = 4
    run_attempts: int = 8
    bug_attempts: int = 3
    """How often a run may meet a bug before it fails, whatever its origin."""
    again: Backoff = field(default_factory=lambda: Backoff(base_s=10.0, cap_s=3600.0))
    """When what failed in a collection that its source keeps in step is asked for again."""
    mending_s: float = 600.0
    """How often a run that nobody waits for checks whether its source can be read again, after its settings or key were rejected."""
    last_chance_attempt: int = 4
    """From this attempt of a run on, a document with a retryable error fails alone instead of postponing the run."""
    guard: DeleteGuard = field(default_factory=DeleteGuard)
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=1.0, cap_s=120.0))
