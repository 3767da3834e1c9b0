"""How fast a run moves, for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from syncd.model import Counts, Source


@dataclass(frozen=True, slots=True)
class RunPace:
    """How fast a run moves. `eta_s` is known where the source said how many documents there are."""

    tokens_per_s: float
    eta_s: float | None
    source: Mapping[str, float] | None = None
    """What the source itself counts, where it does (a crawl: pages found, fetched, queued, …)."""


@runtime_checkable
class Reporting(Protocol):
    """A source that counts more than the documents it yields."""

    def report(self) -> Mapping[str, float]:
        """Return the counts of the run under way, for people."""
        ...


class PaceMeter:
    """Measures one run from when it is made."""

    def __init__(self) -> None:
        self.expected = 0
        """About how many documents there are, where the source has said so."""
        self._began_at = time.monotonic()

    def read(self, counts: Counts, source: Source | None) -> RunPace:
        """Return how fast the run moves, averaged since it began."""
        elapsed_s = max(1e-3, time.monotonic() - self._began_at)
        done = counts.indexed + counts.unchanged + counts.deleted + counts.skipped + counts.failed
        left = max(0, self.expected - done)
        eta_s = elapsed_s * left / done if self.expected and done else None
        return RunPace(counts.tokens / elapsed_s, eta_s, source.report() if isinstance(source, Reporting) else None)
