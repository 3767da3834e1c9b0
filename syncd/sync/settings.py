"""How much goes on at once, and when to give up."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncd.runtime.retry import Backoff
from syncd.sync.deletes import DeleteGuard


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """How much goes on at once, and when to give up."""

    runs: int = 4
    object_runs: int = 16
    """Runs over one object each; they never wait for whole runs."""
    ingesters: int = 64
    document_attempts: int = 4
    run_attempts: int = 8
    bug_attempts: int = 3
    """So often may a run meet a bug before it has failed, whoever asked for it."""
    mending_s: float = 600.0
    """How often an event's run looks whether its source can be read again, after a setting or key that was refused."""
    last_chance_attempt: int = 4
    """From this attempt of a run on, a document that still cannot be had fails alone instead of postponing the run."""
    guard: DeleteGuard = field(default_factory=DeleteGuard)
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=1.0, cap_s=120.0))
