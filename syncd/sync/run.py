"""One run of one source into one collection: ask what changed, hand it on, and only then move the cursor.

A dry run goes the same way, with effects and a state that leave the world as it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from syncd.errors import NothingIndexedError, PermanentError
from syncd.model import (
    Checkpoint,
    ConfirmDeletes,
    Counts,
    DeleteDocuments,
    Document,
    Invocation,
    LeaveCollection,
    Run,
    Source,
    Total,
)
from syncd.pipeline.job import DocumentJob, RunPlan
from syncd.pipeline.result import Result
from syncd.runtime.mailbox import Mailbox, Reply
from syncd.store import Store
from syncd.store.changes import Urgency
from syncd.sync.deletes import DeleteGuard, Deletes
from syncd.sync.handover import Handover
from syncd.sync.pace import PaceMeter, RunPace
from syncd.sync.run_state import DryRunState, RunState


class SourceRun:
    """The work of one invocation. `counts` grows while it goes on; `execute` may be called once."""

    def __init__(
        self,
        store: Store,
        ingesters: Mailbox[DocumentJob, Reply[Result]],
        invocation: Invocation,
        plan: RunPlan,
        guard: DeleteGuard,
    ) -> None:
        self.plan = plan
        self.incomplete = ""
        """Why the source could not be seen whole, or ''."""
        self.again_after_s: float | None = None
        """When it may be worth another look, where it is incomplete and the source knows."""
        self._request = invocation.request
        self._state = (DryRunState if self._request.is_dry_run else RunState)(store, invocation, plan)
        self._meter = PaceMeter()
        self._handover = Handover(ingesters, self._state, self._meter)
        self._deletes = Deletes(plan, self._state, self._handover, guard)
        self._source: Source | None = None
        self._gone: list[str] = []

    async def execute(self, source: Source) -> None:
        """Run to the end. Raises RetryableError (start again from the cursor) or PermanentError (the run has failed)."""
        self._source = source
        if isinstance(self._request, ConfirmDeletes):
            await self._deletes.carry_out_confirmed(self._request.invocation_id, source)
            return await self._handover.save()
        if isinstance(self._request, LeaveCollection):
            return await self._leave(source)
        if isinstance(self._request, DeleteDocuments):
            return await self._remove(self._request.only)
        run = await self._state.begin()
        checkpoint: Checkpoint | None = None
        urgency = self._urgency(run)
        async with aclosing(cast("AsyncGenerator[Document | Checkpoint | Total]", source.changes(run))) as items:
            async for item in items:
                await self._handover.stop_if_asked()
                match item:
                    case Document(body=None):
                        self._gone.append(item.key)
                    case Document():
                        self._handover.found()
                        await self._handover.put(DocumentJob(item, self.plan, urgency))
                    case Total():
                        self._meter.expect(item.documents)
                    case Checkpoint():
                        checkpoint = item
                        await self._reach(item, run, source)
        if checkpoint is None:
            raise PermanentError("the source ended without a checkpoint; this is a bug of its source type")
        if run.keys is None and not self._request.is_dry_run and await self._has_nothing():
            raise self._refusal()
        return None

    async def _leave(self, source: Source) -> None:
        """Delete what the source has in the collection; if it comes back, it looks at everything again."""
        await self._state.forget_cursor()
        await self._deletes.leave(await self._state.unseen(), source)
        await self._handover.save()

    async def _remove(self, keys: Sequence[str]) -> None:
        """Delete these documents; the next run over the whole source looks at everything, so that it brings back what it still has."""
        await self._state.forget_cursor()
        await self._deletes.carry_out_asked(keys)
        await self._handover.save()

    async def _reach(self, checkpoint: Checkpoint, run: Run, source: Source) -> None:
        """Let everything before the checkpoint be done, then the deletes, then save the cursor."""
        if checkpoint.is_mark and not self._gone and run.keys is None:
            return await self._handover.save_cursor_later(checkpoint.cursor)
        await self._handover.finish()
        await self._handover.save()
        gone, self._gone = self._gone, []
        self.incomplete = self.incomplete or checkpoint.incomplete
        self.again_after_s = checkpoint.again_after_s
        if checkpoint.absent_are_gone and not self.incomplete and run.keys is None:
            gone = sorted({*gone, *await self._state.unseen()})
            await self._state.forget_left_out()
        is_suspected = await self._deletes.carry_out(gone, source, checkpoint.suspicion)
        await self._handover.save()
        if is_suspected and checkpoint.suspicion:
            # The cursor stays, so that the next run has the same suspicion.
            self.incomplete = self.incomplete or checkpoint.suspicion.reason
        elif run.keys is None and await self._has_nothing():
            await self._state.forget_cursor()  # whoever looks next, after a crash as well, looks at everything again
        elif run.keys is None:
            await self._state.save_cursor(checkpoint.cursor)
        return None

    async def _has_nothing(self) -> bool:
        """Return whether documents were found and the collection has none of the source's: that is no complete sync.

        What will be looked at again anyway says so itself.
        """
        return self.counts.is_fruitless and self.again_after_s is None and not await self._state.documents()

    def _refusal(self) -> NothingIndexedError:
        first = self.failures[0] if self.failures else self._handover.left_out or "see the invocation's documents"
        counts = self.counts
        return NothingIndexedError(
            f"nothing could be indexed: {counts.failed} failed, {counts.skipped} were skipped; {first}"
        )

    def _urgency(self, run: Run) -> Urgency:
        if self._request.is_object_run:
            return Urgency.OBJECT
        return Urgency.BACKFILL if run.cursor is None else Urgency.CHANGE

    @property
    def counts(self) -> Counts:
        """What has been done so far."""
        return self._handover.counts

    @property
    def failures(self) -> list[str]:
        """Why documents failed so far."""
        return self._handover.failures

    @property
    def put_off(self) -> Sequence[str]:
        """The keys of documents that failed for a reason that may pass."""
        return self._handover.put_off

    def pace(self) -> RunPace:
        """Return how fast it moves, averaged since it began."""
        return self._meter.read(self.counts, self._source)

    async def forget_cursor(self) -> None:
        """Let the next run look at every document again. Twice is safe."""
        await self._state.forget_cursor()

    def stop_early(self) -> None:
        """Hand on nothing more; `execute` raises StoppedEarlyError once what is in hand is prepared, and so durable."""
        self._handover.stop()
