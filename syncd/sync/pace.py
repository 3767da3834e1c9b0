"""How fast a run moves, and how long it will still take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from syncd.model import Counts, Source
from syncd.pipeline.effects import BYTES_PER_TOKEN
from syncd.store.prepared import Backlog

MEMORY_S = 30.0
"""What was so long ago counts for 37 % of what is now: a machine that gets busy, or idle, shows soon, one slow batch does not."""
ENOUGH_TOKENS = 500
"""From so many on, what a token takes is measured, and no longer supposed."""


@dataclass(frozen=True, slots=True)
class RunPace:
    """How fast a run moves. `eta_s` is known as soon as vectors have been computed, or documents are done."""

    tokens_per_s: float
    eta_s: float | None
    stages: Mapping[str, int]
    """Documents prepared, documents embedded, both not yet written; `tokens_left` of the prepared ones, and whether that is
    `estimated`, which it is until they are counted.
    """
    source: Mapping[str, float] | None = None
    """What the source itself counts, where it does (a crawl: pages found, fetched, queued, …)."""


@runtime_checkable
class Reporting(Protocol):
    """A source that counts more than the documents it yields."""

    def report(self) -> Mapping[str, float]:
        """Return the counts of the run under way, for people."""
        ...


class Rate:
    """Tokens a second, averaged over the time in which there was something to compute; what is recent counts for more."""

    def __init__(self) -> None:
        self._tokens = 0.0
        self._time_s = 0.0

    def add(self, tokens: int, time_s: float) -> None:
        """Take in what was computed in the last `time_s`."""
        kept = math.exp(-time_s / MEMORY_S)
        self._tokens = self._tokens * kept + tokens
        self._time_s = self._time_s * kept + time_s

    @property
    def tokens_per_s(self) -> float:
        """Return the average; 0.0 before there is one."""
        return self._tokens / self._time_s if self._time_s else 0.0


class PaceMeter:
    """Measures one run from when it is made. `noted` is called now and then, `read` by whoever wants to know."""

    def __init__(self) -> None:
        self._expected = 0
        self._began_at = self._noted_at = time.monotonic()
        self._backlog = Backlog()
        self._tokens: int | None = None
        self._rate = Rate()
        self._bytes_per_token = BYTES_PER_TOKEN

    def noted(self, counts: Counts, backlog: Backlog) -> None:
        """Take in what is done and what waits. Never waits."""
        now, tokens = time.monotonic(), counts.tokens + backlog.tokens
        if self._tokens is None:
            # What was embedded in an earlier attempt is no speed of this one.
            self._tokens = tokens
        elif self._tokens_left() or tokens > self._tokens:
            self._rate.add(max(0, tokens - self._tokens), now - self._noted_at)
        # Documents leave the backlog shortly before they are counted: meanwhile the sum is too low.
        self._backlog, self._tokens, self._noted_at = backlog, max(tokens, self._tokens), now
        if backlog.tokens >= ENOUGH_TOKENS and backlog.embedded_bytes:
            self._bytes_per_token = backlog.embedded_bytes / backlog.tokens

    def expect(self, documents: int) -> None:
        """Hear from the source about how many documents there are."""
        self._expected = documents

    def read(self, counts: Counts, source: Source | None) -> RunPace:
        """Return how fast the run moves now."""
        tokens_per_s = self._rate.tokens_per_s
        left = self._tokens_left()
        stages = {
            "prepared": self._backlog.documents - self._backlog.embedded,
            "embedded": self._backlog.embedded,
            "tokens_left": left,
            "estimated": bool(self._backlog.uncounted_bytes),
        }
        report = source.report() if isinstance(source, Reporting) else None
        return RunPace(tokens_per_s, self._eta_s(counts, left, tokens_per_s), stages, report)

    def _tokens_left(self) -> int:
        """Return what is counted, and for the rest what its length makes likely."""
        return self._backlog.wanted_tokens + round(self._backlog.uncounted_bytes / self._bytes_per_token)

    def _eta_s(self, counts: Counts, tokens_left: int, tokens_per_s: float) -> float | None:
        """Return the time left: by tokens of what is prepared, and in proportion for what the source has yet to yield."""
        done = counts.indexed + counts.unchanged + counts.deleted + counts.skipped + counts.failed
        met = done + self._backlog.documents
        unmet = max(0, self._expected - met)
        if tokens_left and tokens_per_s:
            tokens_met = counts.tokens + self._backlog.tokens + tokens_left
            return (tokens_left + unmet * tokens_met / max(1, met)) / tokens_per_s
        if self._expected and done:
            # Documents that only wait to be written are as good as done, unlike those whose vectors nobody has begun.
            passed = done if tokens_left else met
            elapsed_s = max(1e-3, time.monotonic() - self._began_at)
            return elapsed_s * max(0, self._expected - passed) / passed
        return None
