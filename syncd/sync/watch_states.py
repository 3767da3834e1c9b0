"""How the watches of all sources are doing: the looks at them, and the runs that bring what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog

from syncd.model.watching import WatchState

log = structlog.get_logger()


class WatchPart(Enum):
    """What may fail of a watch."""

    LOOK = "look"
    RUN = "run"


class WatchStates:
    """Held in memory: after a start the looks and runs that come first tell again."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[WatchPart, WatchState]] = {}
        self._names: dict[str, str] = {}

    def begin(self, source_id: str, name: str) -> None:
        """A source's watch begins, as far as is known in order."""
        self._parts[source_id], self._names[source_id] = {}, name

    def end(self, source_id: str) -> None:
        """Forget a source that is watched no longer."""
        self._parts.pop(source_id, None)

    def now(self) -> Mapping[str, WatchState]:
        """Return the state of each watch, by source id: of what fails, what has failed for longest."""
        return {source_id: longest(parts) for source_id, parts in self._parts.items()}

    def failed(self, source_id: str, part: WatchPart, reason: str, next_try_at: datetime | None) -> None:
        """Note why a part of a watch failed, and when it is tried again."""
        if source_id not in self._parts:
            return
        before = self._parts[source_id].get(part)
        if before is None or before.reason != reason:
            log.warning("watch.failing", source=self._names[source_id], reason=reason)
        since = before.failing_since if before else datetime.now(UTC)
        self._parts[source_id][part] = WatchState(since, reason, next_try_at)

    def succeeded(self, source_id: str, part: WatchPart) -> None:
        """Note that a part of a watch is in order."""
        if self._parts.get(source_id, {}).pop(part, None) is not None:
            log.info("watch.recovered", source=self._names[source_id])

    def looked(self, source_id: str, reason: str, retry_s: float) -> None:
        """Note how a look at a source ended: see `Report`."""
        if reason:
            self.failed(source_id, WatchPart.LOOK, reason, datetime.now(UTC) + timedelta(seconds=retry_s))
        else:
            self.succeeded(source_id, WatchPart.LOOK)


def longest(parts: Mapping[WatchPart, WatchState]) -> WatchState:
    """Return the state of what has failed for longest, with the next try of all; in order where nothing fails."""
    if not parts:
        return WatchState()
    state = min(parts.values(), key=lambda one: one.failing_since or datetime.now(UTC))
    tries = [one.next_try_at for one in parts.values() if one.next_try_at]
    return replace(state, next_try_at=min(tries, default=None))
