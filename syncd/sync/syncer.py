"""The Syncer starts invocations, most urgent first, and settles each after its work is done."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from syncd.errors import SyncdError
from syncd.model import Counts, Invocation, SlotKind, State
from syncd.pipeline.job import DocumentJob
from syncd.pipeline.result import Result
from syncd.runtime.containment import contained
from syncd.runtime.mailbox import Mailbox, Reply
from syncd.runtime.wakeup import Wakeup
from syncd.sources.factories import Settled
from syncd.store import Store
from syncd.sync.pace import RunPace
from syncd.sync.runner import Attempt, Runner
from syncd.sync.settlement import RunTotals, Settlement
from syncd.sync.slots import free_kinds, has_its_share, slot_kind

log = structlog.get_logger()

IDLE_S = 30.0
UNSETTLED_S = 30.0
"""How long an invocation rests whose end could not be recorded."""
SLOT_S = 2.0
"""How soon is noticed that an attempt does not get on, while others wait for its slot."""
LOOKS_AHEAD = (50, 1000)
"""How many due invocations of each kind are looked at: first those that mostly can be started, then also behind many that cannot."""


class Syncer:
    """The actor that runs invocations and owns the ingesters."""

    name = "syncer"

    def __init__(self, store: Store, runner: Runner, wakeup: Wakeup, settled: Sequence[Settled] = ()) -> None:
        """`wakeup` is rung for new invocations; each of `settled` is called at every end, even if others fail."""
        self._store = store
        self._runner = runner
        self._settlement = Settlement(store, runner)
        self._wakeup = wakeup
        self._settled = settled
        self._ended = Wakeup()
        self._draining = False
        self._running: dict[str, Attempt] = {}
        self._resting: dict[str, float] = {}
        """Until when invocations rest whose end could not be recorded."""

    @property
    def mailbox(self) -> Mailbox[DocumentJob, Reply[Result]]:
        """Where documents wait for ingesters."""
        return self._runner.ingesters.mailbox

    @property
    def run_totals(self) -> Mapping[str, RunTotals]:
        """How the runs that ended since the daemon started did, by source id."""
        return self._settlement.totals

    def wake(self) -> None:
        """Check for new and cancelled invocations at once. Never waits, twice is safe."""
        self._wakeup.ring()

    async def drain(self) -> None:
        """Start nothing new and wait until the documents in progress are done; the runs continue after the next start."""
        self._draining = True
        for attempt in self._running.values():
            attempt.stop_early()
        while self._running:
            await self._ended.wait()

    def progress(self, invocation_id: str) -> Counts | None:
        """Return the current counts of a running invocation, or None if it is not running."""
        attempt = self._running.get(invocation_id)
        return attempt.run.counts if attempt and attempt.run else None

    def pace(self, invocation_id: str) -> RunPace | None:
        """Return a running invocation's pace, or None if it is not running."""
        attempt = self._running.get(invocation_id)
        return attempt.run.pace() if attempt and attempt.run else None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; may be run again, and then resumes unfinished invocations. Raises RetryableError while the
        store cannot be read: the supervisor restarts it.
        """
        self._running.clear()
        async with self._runner.in_hand, anyio.create_task_group() as group:
            self._runner.ingesters.start(group)
            task_status.started()
            while True:
                looked_at = time.time()
                await self._stop_unwanted()
                idle_s = SLOT_S if await self._take_up(group) else IDLE_S
                delay_s = await self._store.invocations.next_due_in_s(since=looked_at)
                await self._wakeup.wait(idle_s if delay_s is None else min(idle_s, delay_s))

    async def _stop_unwanted(self) -> None:
        """End what was cancelled, and stop what belongs to a source that is paused: it goes on when that is resumed."""
        paused = await self._store.source_names.paused()
        for attempt in list(self._running.values()):
            if attempt.invocation.source_id in paused:
                attempt.stop_early()
            now = await self._store.invocations.get(attempt.invocation.id)
            if now is None or now.state is State.CANCELLED:
                attempt.scope.cancel()
                if attempt.run:
                    await self._runner.ingesters.drop(attempt.run.plan)

    async def _take_up(self, group: TaskGroup) -> bool:
        """Start what is due and has a slot; return whether there are no slots left of some kind."""
        if self._draining:
            return False
        for attempt in self._running.values():
            attempt.look()
        for ahead in LOOKS_AHEAD:
            # What waits for a kind of slot that is taken is not even looked at, however much that is.
            free = self._free_kinds()
            if not free:
                break
            due = await self._store.invocations.due(ahead, free)
            for invocation in due:
                if self._may_start(invocation):
                    self._running[invocation.id] = Attempt(invocation, anyio.CancelScope())
                    group.start_soon(self._attempt, self._running[invocation.id], name=f"run-{invocation.id}")
            if len(due) < ahead:
                break
        return len(self._free_kinds()) < len(SlotKind)

    def _free_kinds(self) -> Sequence[SlotKind]:
        return free_kinds(self._running.values(), self._runner.settings, anyio.current_time())

    def _may_start(self, invocation: Invocation) -> bool:
        return not (
            invocation.id in self._running
            or self._is_busy(invocation)
            or self._resting.get(invocation.id, 0.0) > anyio.current_time()
            or slot_kind(invocation) not in self._free_kinds()
            or has_its_share(invocation, self._running.values(), self._runner.settings)
        )

    def _is_busy(self, invocation: Invocation) -> bool:
        """Return whether a run that does the same must end first: a whole run of the source, or one over the same object."""
        return any(
            (other.invocation.source_id, other.invocation.target) == (invocation.source_id, invocation.target)
            and other.invocation.request.object_key == invocation.request.object_key
            for other in self._running.values()
        )

    async def _attempt(self, attempt: Attempt) -> None:
        """Make one attempt and notify the listeners. Whatever happens to it, other runs continue."""
        invocation = attempt.invocation
        self._resting.pop(invocation.id, None)
        try:
            with contained("settlement", invocation=invocation.id), attempt.scope:
                await self._settlement.see_through(attempt)
        except SyncdError as error:
            log.error("sync.unsettled", invocation=invocation.id, reason=str(error))
            self._resting[invocation.id] = anyio.current_time() + UNSETTLED_S
        else:
            await self._tell(invocation)
        finally:
            self._running.pop(invocation.id, None)
            self._ended.ring()
            self.wake()

    async def _tell(self, invocation: Invocation) -> None:
        """Notify every listener; one that fails does not affect the others."""
        for settled in self._settled:
            try:
                with contained("settled", invocation=invocation.id):
                    await settled(invocation)
            except SyncdError as error:
                log.error("sync.listener_failed", invocation=invocation.id, reason=str(error))
