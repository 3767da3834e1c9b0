"""A run's deletes: guarded against a source that only seems empty, held and confirmed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from syncd.model import Document, Rechecking, Source, Suspicion
from syncd.pipeline.job import DocumentJob, RunPlan
from syncd.sync.handover import Handover
from syncd.sync.run_state import RunState


@dataclass(frozen=True, slots=True)
class DeleteGuard:
    """A run that would lose more than `share` of a source's documents, and more than `minimum`, holds the deletes.

    Documents count that have chunks. One whose content the source still has, under another key, is not lost.
    """

    share: float = 0.5
    minimum: int = 20

    def holds(self, losses: int, documents: int) -> bool:
        """Return whether it is suspicious to lose so many."""
        return losses > self.minimum and losses > self.share * documents


class Deletes:
    """Carries out a run's deletes through the ingesters. Twice is safe."""

    def __init__(self, plan: RunPlan, state: RunState, handover: Handover, guard: DeleteGuard) -> None:
        self._plan = plan
        self._state = state
        self._handover = handover
        self._guard = guard
        self._is_left = False
        """Whether the source keeps another collection by now."""

    async def leave(self, keys: Sequence[str], source: Source) -> None:
        """Delete these documents from a collection that the source keeps no more, under the same guard.

        Waits until they are done. Raises RetryableError.
        """
        self._is_left = True
        await self.carry_out(keys, source)

    async def carry_out(self, keys: Sequence[str], source: Source, suspicion: Suspicion | None = None) -> bool:
        """Delete these documents. Hold those of them that would be lost, and log that, if they are suspiciously many or
        under `suspicion`; return whether any is held for the latter.

        Waits until they are done. Raises RetryableError.
        """
        lost = await self._state.lost(keys) if suspicion or len(keys) > self._guard.minimum else frozenset[str]()
        suspected = suspicion.of(lost) if suspicion else frozenset[str]()
        losses = len(lost - suspected)
        # Counting takes time in large sources, and most runs lose nothing.
        documents = await self._state.documents() if suspected or losses > self._guard.minimum else 0
        held = lost if self._guard.holds(losses, documents) else suspected
        if held:
            self._handover.held(len(held))
            reason = suspicion.reason if suspicion and suspected else "suspiciously many"
            await self._state.hold_deletes(sorted(held), documents, reason)
        await self._delete([key for key in keys if key not in held], source)
        return bool(suspected)

    async def carry_out_confirmed(self, invocation_id: str, source: Source) -> None:
        """Carry out the deletes that an earlier run holds, except of documents that have reappeared since.

        Waits until they are done. Raises RetryableError.
        """
        self._is_left = await self._state.was_leaving(invocation_id)
        await self._delete(await self._state.confirmed_deletes(invocation_id), source)
        await self._state.release_deletes(invocation_id)

    async def carry_out_asked(self, keys: Sequence[str]) -> None:
        """Delete these documents whatever their source has, except those that came anew since this was asked.

        Waits until they are done. Raises RetryableError.
        """
        for key in keys:
            await self._put(key, partial(self._state.is_unwanted, key))
        await self._handover.finish()

    async def _delete(self, keys: Sequence[str], source: Source) -> None:
        for key in keys:
            await self._put(key, self._recheck(key, source))
        await self._handover.finish()

    async def _put(self, key: str, is_gone: Callable[[], Awaitable[bool]] | None) -> None:
        gone = Document(key, version="", body=None, chunk_prefix="")
        await self._handover.put(DocumentJob(gone, self._plan, is_gone=is_gone))

    def _recheck(self, key: str, source: Source) -> Callable[[], Awaitable[bool]] | None:
        """Return a call that asks the source again whether a document is gone, None if the source cannot be asked."""
        collection = self._plan.home or self._plan.collection.target.collection
        return (
            partial(source.is_gone, key, collection, is_left=self._is_left) if isinstance(source, Rechecking) else None
        )
