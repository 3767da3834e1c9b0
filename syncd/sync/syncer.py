"""The Syncer takes up invocations, most urgent first, and settles each after its work is done."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from syncd.errors import (
    BugError,
    ConfigError,
    MisconfiguredError,
    NotFoundError,
    PermanentError,
    RetryableError,
    SyncdError,
)
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.model import (
    Counts,
    Invocation,
    Origin,
    SomeKeys,
    Source,
    SourceRecord,
    State,
    Upload,
)
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.job import Job, Result
from syncd.runtime.containment import contained
from syncd.runtime.mailbox import Mailbox
from syncd.runtime.retry import Backoff
from syncd.store import Store
from syncd.sync.ingesters import Ingesters
from syncd.sync.run import DeleteGuard, RunPace, SourceRun, StoppedEarlyError

log = structlog.get_logger()

IDLE_S = 30.0
UNSETTLED_S = 30.0
"""An invocation whose end could not be recorded rests so long."""
LOOK_AHEAD = 200


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


@dataclass(slots=True)
class Running:
    """A run under way."""

    invocation: Invocation
    scope: anyio.CancelScope
    run: SourceRun | None = None


class Syncer:
    """The actor between invocations and ingesters. `open_source` turns a record into a Source; `done` hears of each end."""

    name = "syncer"

    def __init__(
        self,
        store: Store,
        chroma: VectorStore,
        index: Index,
        ingester: Ingester,
        open_source: Callable[[SourceRecord], Awaitable[Source]],
        settings: SyncSettings | None = None,
        done: Callable[[Invocation], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings or SyncSettings()
        self._store = store
        self._chroma = chroma
        self._index = index
        self._config_hash = ingester.config_hash
        self._in_hand = ingester.in_hand
        self._ingesters = Ingesters(ingester, self.settings.ingesters, self.settings.document_attempts)
        self._open_source = open_source
        self._done = done
        self._draining = False
        self._woken = anyio.Event()
        self._running: dict[str, Running] = {}
        self._resting: dict[str, float] = {}
        """Until when invocations are left alone whose end could not be recorded."""

    @property
    def mailbox(self) -> Mailbox[Job, Result]:
        """Where documents wait for ingesters."""
        return self._ingesters.mailbox

    def wake(self) -> None:
        """Look for new and cancelled invocations now. Never waits, twice is safe."""
        self._woken.set()

    async def drain(self) -> None:
        """Take up nothing new and wait until the documents in hand are done; the runs go on after the next start."""
        self._draining = True
        for running in self._running.values():
            if running.run:
                running.run.stop_early()
        while self._running:
            self._woken = anyio.Event()
            await self._woken.wait()

    def progress(self, invocation_id: str) -> Counts | None:
        """Return the counts of a running invocation as of now, or None when it is not running."""
        running = self._running.get(invocation_id)
        return running.run.counts if running and running.run else None

    def pace(self, invocation_id: str) -> RunPace | None:
        """Return how fast a running invocation moves, or None when it is not running."""
        running = self._running.get(invocation_id)
        return running.run.pace() if running and running.run else None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. What is under way then is taken up again by the next run."""
        self._running.clear()
        async with self._in_hand, anyio.create_task_group() as group:
            self._ingesters.start(group)
            task_status.started()
            while True:
                self._woken = anyio.Event()
                looked_at = time.time()
                await self._cancel_cancelled()
                await self._take_up(group)
                delay_s = await self._store.invocations.next_due_in_s(since=looked_at)
                with anyio.move_on_after(IDLE_S if delay_s is None else min(IDLE_S, delay_s)):
                    await self._woken.wait()

    async def _cancel_cancelled(self) -> None:
        for running in list(self._running.values()):
            now = await self._store.invocations.get(running.invocation.id)
            if now is None or now.state is State.CANCELLED:
                running.scope.cancel()
                if running.run:
                    self._ingesters.drop(running.run.number)

    async def _take_up(self, group: TaskGroup) -> None:
        if self._draining:
            return
        for invocation in await self._store.invocations.due(LOOK_AHEAD):
            if invocation.id in self._running or self._is_full(invocation) or self._is_busy(invocation):
                continue
            if self._resting.get(invocation.id, 0.0) > anyio.current_time():
                continue
            self._running[invocation.id] = Running(invocation, anyio.CancelScope())
            group.start_soon(self._run, self._running[invocation.id], name=f"run-{invocation.id}")

    def _is_full(self, invocation: Invocation) -> bool:
        """Return whether as many runs of the invocation's kind are under way as may be."""
        kind = invocation.request.is_object_run
        limit = self.settings.object_runs if kind else self.settings.runs
        return sum(other.invocation.request.is_object_run is kind for other in self._running.values()) >= limit

    def _is_busy(self, invocation: Invocation) -> bool:
        """Return whether a run must end first that does the same: whole runs of a source, or runs over one object."""
        return any(
            (other.invocation.source_id, other.invocation.target) == (invocation.source_id, invocation.target)
            and other.invocation.request.object_key == invocation.request.object_key
            for other in self._running.values()
        )

    async def _run(self, running: Running) -> None:
        """See one run through. Whatever becomes of it, the others go on."""
        invocation = running.invocation
        self._resting.pop(invocation.id, None)
        try:
            with contained("settlement", invocation=invocation.id):
                with running.scope:
                    await self._run_and_settle(running)
                if self._done is not None:
                    await self._done(invocation)
        except SyncdError as error:
            log.error("sync.unsettled", invocation=invocation.id, reason=str(error))
            self._resting[invocation.id] = anyio.current_time() + UNSETTLED_S
        finally:
            self._running.pop(running.invocation.id, None)
            self.wake()

    async def _run_and_settle(self, running: Running) -> None:
        invocation = running.invocation
        if not await self._store.invocations.start(invocation.id):
            return
        log.info("sync.started", invocation=invocation.id, collection=invocation.target.collection)
        try:
            with contained("run", invocation=invocation.id, source=invocation.source_id):
                await self._execute(running)
        except StoppedEarlyError:
            log.info("sync.interrupted", invocation=invocation.id)
        except RetryableError as error:
            await self._postpone(running, error)
        except MisconfiguredError as error:
            await self._await_mending(running, error)
        except (PermanentError, ConfigError) as error:
            await self._settle(running, State.FAILED, str(error))
        else:
            await self._complete(running)

    async def _execute(self, running: Running) -> None:
        invocation = running.invocation
        record = await self._store.sources.get(invocation.source_id)
        if record is None:
            raise NotFoundError(
                f"source {invocation.source_id} was deleted; create it again and start a new invocation"
            )
        asked = invocation.request
        record = asked.configured(record)
        names_embedding = isinstance(asked, Upload) and asked.embedding is not None
        if record.facts.adopts_embedding and not names_embedding:
            # Who names no embedding gets the one the collection has; the default is for new ones.
            known = await self._store.documents.find(invocation.target)
            record = replace(record, embedding=known.embedding) if known else record
        source = await self._open_source(record)
        dry_run = invocation.request.is_dry_run
        opened = self._index.preview_collection if dry_run else self._index.open
        collection = await opened(invocation.target, record.embedding)
        number = await self._store.progress.run_number(invocation.id)
        last_chance = may_give_up(invocation) and invocation.attempts + 1 >= self.settings.last_chance_attempt
        guard, config_hash = self.settings.guard, self._config_hash(record)
        running.run = SourceRun(
            self._store, self.mailbox, invocation, record, collection, guard, number, config_hash, last_chance
        )
        await running.run.execute(source)
        if is_finishing(invocation, record) and not running.run.incomplete:
            await self._chroma.set_metadata(invocation.target, {"finished_ingest": True})

    async def _complete(self, running: Running) -> None:
        run = running.run
        if run and running.invocation.request.is_object_run and run.failures:
            return await self._settle(running, State.FAILED, run.failures[0])
        if run and run.again_after_s is not None and not running.invocation.request.is_dry_run:
            await self._store.invocations.follow_up(running.invocation, run.again_after_s)
        return await self._settle(running, State.COMPLETE, (run.incomplete or None) if run else None)

    async def _postpone(self, running: Running, error: RetryableError) -> None:
        """Take the run up again later, from its cursor; after too many attempts it has failed, if that may be.

        One that keeps meeting a bug may always fail: its askers learn of it, and no later attempt would do better.
        """
        attempts = running.invocation.attempts + 1
        bugs = int(isinstance(error, BugError))
        counts = running.run.counts if running.run else Counts()
        if bugs and running.invocation.bugs + bugs >= self.settings.bug_attempts:
            await self._settle(running, State.FAILED, str(error))
            return
        if attempts >= self.settings.run_attempts and may_give_up(running.invocation):
            await self._settle(running, State.FAILED, f"gave up after {attempts} attempts: {error}")
            return
        delay_s = max(self.settings.backoff.delay_s(attempts), error.retry_after_s or 0.0)
        log.warning("sync.postponed", invocation=running.invocation.id, reason=str(error), delay_s=round(delay_s, 1))
        await self._store.invocations.postpone(running.invocation.id, delay_s, str(error), counts, bugs)

    async def _await_mending(self, running: Running, error: MisconfiguredError) -> None:
        """End a run whose source cannot be read as it is set up; one that an event led to waits until it can."""
        if may_give_up(running.invocation):
            await self._settle(running, State.FAILED, str(error))
        else:
            await self._postpone(running, RetryableError(str(error), self.settings.mending_s))

    async def _settle(self, running: Running, state: State, error: str | None = None) -> None:
        counts = running.run.counts if running.run else Counts()
        await self._store.invocations.settle(running.invocation.id, state, counts, error)
        log.info(
            "sync.settled",
            invocation=running.invocation.id,
            state=state.value,
            reason=error,
            indexed=counts.indexed,
            failed=counts.failed,
        )


def is_finishing(invocation: Invocation, record: SourceRecord) -> bool:
    """Return whether a complete run closes its collection: not one that the source goes on keeping in step."""
    asked = invocation.request
    whole = invocation.origin is Origin.API and not isinstance(asked, SomeKeys) and not asked.is_dry_run
    return whole and record.facts.finishes_collection and not record.keeps(invocation.target.collection)


def may_give_up(invocation: Invocation) -> bool:
    """Return whether a run may fail for trouble that may pass. Not one that an event led to: nobody else knows of its key."""
    return invocation.origin is not Origin.EVENT
