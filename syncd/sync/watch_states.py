"""How the watches of all sources are doing: the looks at them, and the runs that bring what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum

import structlog

from syncd.model.watching import WatchState
from syncd.store.watch_failures import Failures

log = structlog.get_logger()


class WatchPart(Enum):
    """What may fail of a watch."""

    LOOK = "look"
    RUN = "run"


class WatchStates:
    """How each watch is doing; `changed` is called when another one fails, for another reason, or none any more."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._parts: dict[str, dict[WatchPart, WatchState]] = {}
        self._names: dict[str, str] = {}

    def begin(self, source_id: str, name: str, earlier: Failures) -> None:
        """A source's watch begins: as far as is known in order, or failing still as it was `earlier`."""
        known = {part: earlier.get((source_id, part.value)) for part in WatchPart}
        self._parts[source_id] = {part: state for part, state in known.items() if state}
        self._names[source_id] = name

    def end(self, source_id: str) -> None:
        """Forget a source that is watched no longer."""
        self._parts.pop(source_id, None)

    def failures(self) -> Failures:
        """Return what fails."""
        return {
            (source_id, part.value): state for source_id, parts in self._parts.items() for part, state in parts.items()
        }

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
            self._changed()
        since = before.failing_since if before else datetime.now(UTC)
        self._parts[source_id][part] = WatchState(since, reason, next_try_at)

    def succeeded(self, source_id: str, part: WatchPart) -> None:
        """Note that a part of a watch is in order."""
        if self._parts.get(source_id, {}).pop(part, None) is not None:
            log.info("watch.recovered", source=self._names[source_id])
            self._changed()

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
