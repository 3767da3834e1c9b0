"""Which sources are behind, and by how long: what they are to bring waits, or they cannot be looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from syncd.model.watching import WatchState
from syncd.store import Store


@dataclass(frozen=True, slots=True)
class Standing:
    """How long a source has been behind, and how long it may be; None: it promises nothing."""

    source_id: str
    name: str | None
    behind_s: float
    """0 where nothing is known that is not searchable."""
    max_lag_s: float | None

    @property
    def is_late(self) -> bool:
        """Whether it breaks its promise at this moment."""
        return self.max_lag_s is not None and self.behind_s > self.max_lag_s

    @property
    def problem(self) -> str | None:
        """What to tell of a source that is late, in a sentence; None: nothing."""
        if not self.is_late:
            return None
        return f"late: changes have waited {self.behind_s:,.0f} s, and max_lag_s promises {self.max_lag_s:g}"


async def standings(store: Store, watches: Mapping[str, WatchState]) -> Mapping[str, Standing]:
    """Return how every source stands, by id. `watches`: how the watch of each is doing.

    A source is behind from when its oldest unfinished run was asked for, or its watch began to fail, whichever was first.
    """
    now, found = time.time(), dict[str, Standing]()
    for waiting in await store.freshness.waiting():
        watch = watches.get(waiting.source_id)
        failing_since = watch.failing_since.timestamp() if watch and watch.failing_since else None
        since = min((moment for moment in (waiting.since, failing_since) if moment is not None), default=now)
        behind_s = max(0.0, now - since)
        found[waiting.source_id] = Standing(waiting.source_id, waiting.name, behind_s, waiting.max_lag_s)
    return found
