"""Mistakes in the order of effects that a simulation must notice, each made for as long as a block lasts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from unittest.mock import patch

from syncd.index.flush import OutboxFlush
from syncd.model import Checkpoint, Run, Source
from syncd.store.collections import CollectionRecord
from syncd.store.outbox import Outbox
from syncd.sync.run import SourceRun


@contextmanager
def saves_the_cursor_first() -> Iterator[None]:
    """The cursor moves before what lies before it has its replies."""
    reach = SourceRun._reach

    async def at_once(self: SourceRun, checkpoint: Checkpoint, run: Run, source: Source) -> None:
        await self._state.save_cursor(checkpoint.cursor)
        await reach(self, checkpoint, run, source)

    with patch.object(SourceRun, "_reach", at_once):
        yield


@contextmanager
def clears_the_intent_first() -> Iterator[None]:
    """What is to be written is not noted any more while it is being written."""

    async def flush(self: OutboxFlush, record: CollectionRecord, chunk_ids: Sequence[str]) -> None:
        waiting = await self._store.outbox.waiting(record.id, chunk_ids)
        await self._store.outbox.clear(record.id, waiting)
        await self._write(record, waiting)

    with patch.object(OutboxFlush, "flush", flush):
        yield


@contextmanager
def forgets_the_intent() -> Iterator[None]:
    """What a crash left in the outbox is not written by the next start."""

    async def nothing(_self: Outbox) -> Sequence[tuple[int, str]]:
        return []

    with patch.object(Outbox, "left_behind", nothing):
        yield


MISTAKES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "saves-the-cursor-first": saves_the_cursor_first,
    "clears-the-intent-first": clears_the_intent_first,
    "forgets-the-intent": forgets_the_intent,
}
