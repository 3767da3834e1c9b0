"""How fast a run moves, and how long it will still take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from syncd.model import Counts, Source
from syncd.pipeline.effects import BYTES_PER_TOKEN
from syncd.store.prepared import Backlog

WINDOW_S = 30.0
"""Speed is measured over the last so many seconds: a machine that gets busy, or idle, shows soon."""
ENOUGH_TOKENS = 500
"""From so many on, what a token takes is measured, and no longer supposed."""


@dataclass(frozen=True, slots=True)
class RunPace:
    """How fast a run moves. `eta_s` is known as soon as vectors have been computed, or documents are done."""

    tokens_per_s: float
    eta_s: float | None
    stages: Mapping[str, int]
    """Documents prepared, documents embedded, both not yet written, and tokens_left of the prepared ones."""
    source: Mapping[str, float] | None = None
    """What the source itself counts, where it does (a crawl: pages found, fetched, queued, …)."""


@runtime_checkable
class Reporting(Protocol):
    """A source that counts more than the documents it yields."""

    def report(self) -> Mapping[str, float]:
        """Return the counts of the run under way, for people."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """What had been done by some moment."""

    at_s: float
    tokens: int


class PaceMeter:
    """Measures one run from when it is made. `noted` is called now and then, `read` by whoever wants to know."""

    def __init__(self) -> None:
        self._expected = 0
        self._began_at = time.monotonic()
        self._backlog = Backlog()
        self._samples: deque[Sample] = deque([Sample(self._began_at, 0)])
        self._bytes_per_token = BYTES_PER_TOKEN

    def noted(self, counts: Counts, backlog: Backlog) -> None:
        """Take in what is done and what waits. Never waits."""
        self._backlog = backlog
        if backlog.tokens >= ENOUGH_TOKENS:
            self._bytes_per_token = backlog.embedded_bytes / backlog.tokens
        now = time.monotonic()
        self._samples.append(Sample(now, counts.tokens + backlog.tokens))
        while len(self._samples) > 2 and self._samples[1].at_s < now - WINDOW_S:
            self._samples.popleft()

    def expect(self, documents: int) -> None:
        """Hear from the source about how many documents there are."""
        self._expected = documents

    def read(self, counts: Counts, source: Source | None) -> RunPace:
        """Return how fast the run moves now."""
        tokens_per_s = self._tokens_per_s()
        left = self._tokens_left()
        stages = {
            "prepared": self._backlog.documents - self._backlog.embedded,
            "embedded": self._backlog.embedded,
            "tokens_left": left,
        }
        report = source.report() if isinstance(source, Reporting) else None
        return RunPace(tokens_per_s, self._eta_s(counts, left, tokens_per_s), stages, report)

    def _tokens_per_s(self) -> float:
        first, last = self._samples[0], self._samples[-1]
        return (last.tokens - first.tokens) / max(1e-3, last.at_s - first.at_s)

    def _tokens_left(self) -> int:
        return round(self._backlog.wanted_bytes / self._bytes_per_token)

    def _eta_s(self, counts: Counts, tokens_left: int, tokens_per_s: float) -> float | None:
        """Return the time left: by tokens of what is prepared, and in proportion for what the source has yet to yield."""
        done = counts.indexed + counts.unchanged + counts.deleted + counts.skipped + counts.failed
        met = done + self._backlog.documents
        if tokens_left and tokens_per_s:
            unmet = max(0, self._expected - met)
            tokens_met = counts.tokens + self._backlog.tokens + tokens_left
            return (tokens_left + unmet * tokens_met / max(1, met)) / tokens_per_s
        if self._expected and done:
            elapsed_s = max(1e-3, time.monotonic() - self._began_at)
            return elapsed_s * max(0, self._expected - done) / done
        return None
