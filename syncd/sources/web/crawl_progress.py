"""Counts of a crawl, for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from syncd.sources.web.crawl_types import SettledVisit


@dataclass(slots=True)
class CrawlProgress:
    """Counts of one crawl; `indexed` includes unchanged documents."""

    found: int = 0
    fetched: int = 0
    unchanged: int = 0
    indexed: int = 0
    failed: int = 0
    queue: int = 0
    pages_per_s: float = 0.0


@dataclass(slots=True)
class ProgressMeter:
    """Keeps the counts of one crawl."""

    progress: CrawlProgress
    _started_at: float = field(default_factory=time.monotonic)

    def begin(self, queue: int) -> None:
        """Start with so many pages in the queue."""
        self.progress.queue = queue

    def count(self, settled: Sequence[SettledVisit], indexed: int, queue_growth: int) -> None:
        """Add visits that were settled; `indexed` is the number of documents so far."""
        progress = self.progress
        for one in settled:
            progress.fetched += one.outcome is not None
            progress.unchanged += one.outcome == "unchanged"
            progress.failed += one.outcome in ("failed", "unread")
        progress.indexed = indexed
        progress.queue = max(0, progress.queue + queue_growth)
        progress.found = progress.fetched + progress.queue
        progress.pages_per_s = progress.fetched / max(1e-3, time.monotonic() - self._started_at)
