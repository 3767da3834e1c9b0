"""The ingesters: so many documents in hand at once, each key one at a time, tried again while that can help."""

from __future__ import annotations

from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from syncd.errors import BugError, OvertakenError, RetryableError
from syncd.model import Document
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.job import DocumentJob, RunPlan
from syncd.pipeline.result import Result
from syncd.runtime.containment import contained
from syncd.runtime.keylocks import KeyLocks
from syncd.runtime.mailbox import Handle, Mailbox, Reply, settled_reply
from syncd.runtime.retry import retrying
from syncd.sync.settings import SyncSettings


class Ingesters:
    """Tasks that take documents from `mailbox` and reply when they are prepared, with the reply that comes when they are indexed.

    While a document takes long, another task works in its task's place: so many that wait for one source are in nobody's way.
    A document that fails for now is tried `document_attempts` times; then its reply is that RetryableError, or, with its run's
    `last_chance`, a recorded failure. One that keeps meeting a bug is always recorded as failed, and its run goes on.
    """

    def __init__(self, ingester: Ingester, settings: SyncSettings) -> None:
        self.mailbox: Mailbox[DocumentJob, Reply[Result]] = Mailbox("ingest", settings.ingesters)
        self._ingester = ingester
        self._count = settings.ingesters
        self._attempts = settings.document_attempts
        self._patience_s = settings.document_patience_s
        self._keys = KeyLocks()
        self._in_hand: dict[int, set[anyio.CancelScope]] = {}
        """What is being ingested, by run number."""

    def start(self, group: TaskGroup) -> None:
        """Run in `group` until it is cancelled."""

        async def ingest(job: DocumentJob) -> Reply[Result]:
            over = anyio.Event()
            group.start_soon(self._stand_in, over, ingest)
            try:
                return await self._ingest(job)
            finally:
                over.set()

        for _ in range(self._count):
            group.start_soon(self.mailbox.serve, ingest)

    async def _stand_in(self, over: anyio.Event, ingest: Handle[DocumentJob, Reply[Result]]) -> None:
        """Once a document takes long, work in its ingester's place until it is `over`."""
        with anyio.move_on_after(self._patience_s):
            return await over.wait()
        return await self.mailbox.serve_until(over, ingest)

    async def drop(self, run: RunPlan) -> None:
        """Let go of a cancelled run's documents, those in hand too: each stays whole, in its old or its new version."""
        run.cancelled.set()
        for scope in self._in_hand.get(run.number, ()):
            scope.cancel()
        await self._ingester.drop(run.number)

    async def _ingest(self, job: DocumentJob) -> Reply[Result]:
        scopes = self._in_hand.setdefault(job.run.number, set())
        with anyio.CancelScope() as scope:
            scopes.add(scope)
            try:
                if not job.run.cancelled.is_set():
                    return await self._ingest_in_turn(job)
            finally:
                scopes.discard(scope)
                if not scopes:
                    self._in_hand.pop(job.run.number, None)
        raise RetryableError(f"{job.document.key}: its invocation was cancelled")

    async def _ingest_in_turn(self, job: DocumentJob) -> Reply[Result]:
        async with self._keys.hold("\0".join(map(str, job.owner))):
            current = job

            async def attempt() -> Reply[Result]:
                nonlocal current
                with contained("document", document=job.document.key, source=job.run.source.id):
                    try:
                        return await self._ingester.ingest(current)
                    except OvertakenError:
                        current = replace(current, document=await refetched(current.document))
                        raise

            try:
                return await retrying(attempt, attempts=self._attempts)
            except BugError as error:
                return await self._give_up(job, str(error))
            except RetryableError as error:
                if not job.run.last_chance or job.document.body is None:
                    raise
                return await self._give_up(job, f"gave up for now: {error}", is_put_off=True)

    async def _give_up(self, job: DocumentJob, reason: str, *, is_put_off: bool = False) -> Reply[Result]:
        with contained("document", document=job.document.key, source=job.run.source.id):
            return settled_reply(replace(await self._ingester.give_up(job, reason), is_put_off=is_put_off))


async def refetched(document: Document) -> Document:
    """Return the document as it is now, where its source can say so. Raises RetryableError, PermanentError."""
    return await document.again() if document.again else document
