"""Documents of a run on their way: handed on, prepared, written; waited for, counted, recorded."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict, deque
from dataclasses import replace
from functools import partial
from itertools import count

import anyio

from syncd.errors import RetryableError, SyncdError
from syncd.model import Counts, DocumentState
from syncd.pipeline.job import DocumentJob
from syncd.pipeline.result import Result
from syncd.runtime.mailbox import Mailbox, Reply
from syncd.store.changes import Urgency
from syncd.sync.pace import PaceMeter
from syncd.sync.run_state import RunState

AHEAD = 64
"""Documents handed on and not yet prepared, per run: enough to keep all workers busy, few enough to bound memory."""
PREPARED_AHEAD = 50_000
"""Documents prepared and not yet written, per run. They lie on disk; here each is a reply, of some three hundred bytes."""
SAVE_EVERY_S = 1.0


class StoppedEarlyError(RetryableError):
    """The daemon stops, or the source is paused: what was handed on is durable, the rest comes when it goes on."""


class Handover:
    """What one run has handed on. Whatever waits here raises a document's RetryableError, which ends the attempt."""

    def __init__(self, ingesters: Mailbox[DocumentJob, Reply[Result]], state: RunState, meter: PaceMeter) -> None:
        self.counts = Counts()
        self.failures: list[str] = []
        """Why documents failed."""
        self.left_out = ""
        """Why the first document that was skipped is left out."""
        self.put_off: list[str] = []
        """The keys of documents that failed for a reason that may pass."""
        self._ingesters = ingesters
        self._state = state
        self._meter = meter
        self._handed_on: deque[Reply[Reply[Result]]] = deque()
        self._numbers = count()
        self._on_their_way: OrderedDict[int, Reply[Result]] = OrderedDict()
        """Prepared and not counted as written, by number, in order."""
        self._cursors: deque[tuple[int, str]] = deque()
        """Each is saved when whatever has a lower number is written."""
        self._written: deque[int] = deque()
        """The numbers of those that have their reply: looking through all that wait would cost more the more there are."""
        self._stopping = False
        self._unsaved: list[Result] = []
        self._saved_at = time.monotonic()

    async def put(self, job: DocumentJob) -> None:
        """Give a document to the ingesters; waits for room there and on disk, and for what is outstanding when that is much."""
        await self._room(job)
        self._handed_on.append(await self._ingesters.put(job, urgent=job.urgency > Urgency.BACKFILL))
        while len(self._handed_on) >= AHEAD:
            await self._prepare_one()
        while len(self._on_their_way) >= PREPARED_AHEAD:
            await self._progress()
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            await self._settle()
            await self.save()

    async def _room(self, job: DocumentJob) -> None:
        """Wait until there is room on disk for what the document is prepared to. In nobody's way: no ingester waits for it."""
        while job.document.body is not None and not await job.run.effects.has_room(job.urgency):
            await self.stop_if_asked()
            await anyio.sleep(SAVE_EVERY_S)
            await self._settle()
            await self.save()

    def found(self) -> None:
        """Count a document that the source yielded."""
        self.counts = replace(self.counts, found=self.counts.found + 1)

    def held(self, deletes: int) -> None:
        """Count deletes that wait for somebody to confirm them."""
        self.counts = replace(self.counts, held_deletes=self.counts.held_deletes + deletes)

    async def save_cursor_later(self, cursor: str) -> None:
        """Save a cursor once everything handed on so far is written; waits until that is prepared.

        Not while nothing could be indexed: an attempt that went on from there would see less than what the run came to.
        """
        await self.prepare_all()
        self._cursors.append((next(self._numbers), cursor))
        await self._settle()

    async def prepare_all(self) -> None:
        """Wait until everything handed on is prepared, and so durable."""
        while self._handed_on:
            await self._prepare_one()

    async def finish(self) -> None:
        """Wait until everything handed on is written. Raises StoppedEarlyError when told to stop meanwhile: it is durable."""
        await self.prepare_all()
        while self._on_their_way:
            await self.stop_if_asked()
            await self._progress()

    def stop(self) -> None:
        """Let nobody wait for more than that what is handed on is prepared. Never waits, twice is safe."""
        self._stopping = True

    async def stop_if_asked(self) -> None:
        """Raise StoppedEarlyError, once what is handed on is prepared, where it was told to stop."""
        if self._stopping:
            await self.prepare_all()
            await self.save()
            raise StoppedEarlyError("it was told to stop")

    async def save(self) -> None:
        """Write progress, outcomes and what was met; nothing depends on how often."""
        results, self._unsaved = self._unsaved, []
        await self._state.note(results, self.counts)
        self._meter.noted(self.counts, await self._state.backlog())
        self._saved_at = time.monotonic()

    async def _prepare_one(self) -> None:
        """Wait until the oldest document is prepared. Where it cannot be, keep the cursors that are due all the same."""
        try:
            reply = await self._handed_on.popleft()
        except RetryableError:
            await self._settle()
            raise
        number = next(self._numbers)
        self._on_their_way[number] = reply
        reply.when_settled(partial(self._written.append, number))

    async def _progress(self) -> None:
        """Wait until the oldest document is written, but not without counting, now and then, what else is."""
        with anyio.move_on_after(SAVE_EVERY_S):
            await next(iter(self._on_their_way.values())).wait_settled()
        await self._settle()
        if time.monotonic() - self._saved_at > SAVE_EVERY_S or not self._on_their_way:
            await self.save()

    async def _settle(self) -> None:
        """Count what is written by now, in whatever order; save the cursors that are due, also where a document failed."""
        failure: SyncdError | None = None
        while self._written:
            number = self._written.popleft()
            try:
                self._count(await self._on_their_way[number])
            except SyncdError as error:
                failure = failure or error  # it stays where it is, so no cursor behind it is due
            else:
                del self._on_their_way[number]
        while self._cursors and self._cursors[0][0] < next(iter(self._on_their_way), sys.maxsize):
            await self.save()
            if not self.counts.is_fruitless:
                await self._state.save_cursor(self._cursors[0][1])
            self._cursors.popleft()
        if failure is not None:
            raise failure

    def _count(self, result: Result) -> None:
        self.counts = self.counts.plus(result.counts)
        if result.state is DocumentState.FAILED:
            self.failures.append(result.reason)
        elif result.state is DocumentState.SKIPPED:
            self.left_out = self.left_out or result.reason
        if result.is_put_off:
            self.put_off.append(result.key)
        self._unsaved.append(result)
