"""Requests runs when a branch moves, a folder changes or a schedule is due; never runs anything itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from syncd.errors import SyncdError
from syncd.model import Invocation, Origin, Request, SourceRecord, State, Target, WholeSource
from syncd.model.watching import Report, WatchState
from syncd.runtime.containment import contained
from syncd.runtime.retry import Backoff
from syncd.runtime.wakeup import Wakeup
from syncd.store import Store
from syncd.store.watch_failures import Failures
from syncd.sync.watch_states import WatchPart, WatchStates

log = structlog.get_logger()

CHECK_EVERY_S = 60.0
STEADY_S = 300.0
"""A watch that lasted this long before it failed starts again without backoff."""


WatchSource = Callable[[SourceRecord, Report], AsyncGenerator[Request]]
"""Yields a run's request at once, and another whenever the source has changed; tells of looks at the source.

Raises RetryableError or PermanentError.
"""


@dataclass(frozen=True, slots=True)
class Watching:
    """One source under watch; another record under the same id means that its configuration changed."""

    record: SourceRecord
    scope: anyio.CancelScope


class Triggers:
    """The actor that watches. `watch` watches a source, `wake` notifies the Syncer of new invocations."""

    name = "triggers"

    def __init__(self, store: Store, watch: WatchSource, wake: Callable[[], None]) -> None:
        self._store = store
        self._watch_source = watch
        self._wake = wake
        self._watching: dict[str, Watching] = {}
        self._changed = Wakeup()
        self._states = WatchStates(self._changed.ring)
        self._noted: Failures = {}
        """Which failures are durable."""

    def sources_changed(self) -> None:
        """Check the sources at once. Never waits, twice is safe."""
        self._changed.ring()

    def states(self) -> Mapping[str, WatchState]:
        """Return how each watch is doing, by source id. Never waits."""
        return self._states.now()

    async def settled(self, invocation: Invocation) -> None:
        """Hear how a run ended, or why it waits; runs for single objects and dry runs say nothing of the watch. Twice is safe."""
        watching = self._watching.get(invocation.source_id)
        request = invocation.request
        if not watching or not watching.record.keeps(invocation.target.collection) or request.is_object_run:
            return
        now = await self._store.invocations.get(invocation.id)
        if now is None or request.is_dry_run or (now.origin is Origin.API and now.state is not State.COMPLETE):
            return
        if now.state is State.COMPLETE:
            self._states.succeeded(now.source_id, WatchPart.RUN)
        elif now.error:
            next_try_at = await self._store.invocations.next_try_at(now.source_id)
            self._states.failed(now.source_id, WatchPart.RUN, now.error, next_try_at)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Watch every source with a watch or a schedule that is not paused, until cancelled."""
        self._watching.clear()
        earlier: Failures = await self._store.watch_failures.all()
        self._noted = earlier
        async with anyio.create_task_group() as group:
            task_status.started()
            while True:
                await self._check(group, earlier)
                await self._note_failures()
                earlier = {}  # what begins from here on has another declaration, under which it may be in order
                await self._changed.wait(CHECK_EVERY_S)

    async def _check(self, group: TaskGroup, earlier: Failures) -> None:
        records = {
            record.id: record
            for record in await self._store.sources.list(limit=-1)
            if (record.settings.watch or record.settings.schedule) and record.paused_at is None
        }
        for source_id, watching in list(self._watching.items()):
            if records.get(source_id) != watching.record:
                watching.scope.cancel()
                del self._watching[source_id]
                self._states.end(source_id)
        for source_id, record in records.items():
            if source_id not in self._watching:
                self._watching[source_id] = Watching(record, anyio.CancelScope())
                self._states.begin(source_id, record.name or source_id, earlier)
                group.start_soon(self._watch, self._watching[source_id])

    async def _note_failures(self) -> None:
        failures = self._states.failures()
        if failures != self._noted:
            await self._store.watch_failures.note(failures)
            self._noted = failures

    async def _watch(self, watching: Watching) -> None:
        """Keep one source's trigger running; any failure is retried with backoff."""
        record, backoff, failures = watching.record, Backoff(base_s=1.0, cap_s=300.0), 0
        name = record.name or record.id
        with watching.scope:
            while True:
                began_at = anyio.current_time()
                try:
                    with contained("watch", source=name):
                        await self._trigger(record)
                        raise EOFError("the watch ended by itself")
                except SyncdError as error:
                    failures = 1 if anyio.current_time() - began_at >= STEADY_S else failures + 1
                    delay_s = max(1.0, backoff.delay_s(failures))
                    log.warning("watch.failed", source=name, reason=str(error), failures=failures)
                    self._states.looked(record.id, str(error), delay_s)
                    await anyio.sleep(delay_s)

    def _trigger(self, record: SourceRecord) -> Awaitable[None]:
        settings = record.settings
        target = Target(record.database, settings.default_collection or "")
        if settings.schedule:
            return self._by_schedule(record, target, settings.schedule.interval_s)
        return self._by_watch(record, target)

    async def _by_watch(self, record: SourceRecord, target: Target) -> None:
        """Request a run at the start, and whenever something changed."""
        report = partial(self._states.looked, record.id)
        async with aclosing(self._watch_source(record, report)) as requests:
            async for request in requests:
                await self._ask(record, target, Origin.WATCH, request)

    async def _by_schedule(self, record: SourceRecord, target: Target, interval_s: float) -> None:
        """Request a run `interval_s` after the last request, whatever its origin; while one is due or under way, none beside it."""
        while True:
            if last := await self._store.invocations.latest_whole(record.id):
                age_s = (datetime.now(UTC) - last.created_at).total_seconds()
                await anyio.sleep(max(0.0, interval_s - age_s))
            if await self._store.invocations.is_begun(record.id, target):
                await anyio.sleep(min(interval_s, CHECK_EVERY_S))
            else:
                await self._ask(record, target, Origin.SCHEDULE, WholeSource())

    async def _ask(self, record: SourceRecord, target: Target, origin: Origin, request: Request) -> None:
        invocation = await self._store.invocations.create_or_join(record.id, target, origin, request)
        log.info("watch.asked", source=record.name or record.id, invocation=invocation.id, keys=len(request.keys or ()))
        self._wake()
