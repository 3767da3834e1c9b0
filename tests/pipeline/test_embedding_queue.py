from collections.abc import Collection, Sequence

import anyio
import pytest

from syncd.model import Embedding, Target
from syncd.pipeline.embedding_queue import EmbeddingQueue
from syncd.store.changes import Urgency
from syncd.store.prepared import Prepared, WantedText
from tests.store.test_prepared import MODEL, replacement


class AnsweredMeanwhile(Prepared):
    """A store in which the other lane's request is answered while this lane's is being read."""

    async def take(
        self, model: str, source_id: str, limit: int, besides: Collection[bytes], *, is_urgent: bool
    ) -> Sequence[WantedText]:
        self.queue._in_flight.clear()
        return await super().take(model, source_id, limit, besides, is_urgent=is_urgent)


async def without_task(texts: Sequence[WantedText]) -> dict[None, Sequence[WantedText]]:
    return {None: texts}


async def test_what_was_in_flight_when_the_store_was_asked_is_not_embedded_twice(parts):
    collection = await parts.store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))
    prepared = AnsweredMeanwhile(parts.store.database)
    await prepared.put(replacement(collection.id, "a.txt", "one", "two"), MODEL, Urgency.BACKFILL)

    async def embedder():
        raise AssertionError("nothing is embedded here")

    prepared.queue = queue = EmbeddingQueue(prepared, embedder, MODEL, without_task)
    queue._in_flight.add(b"one")
    (lane,) = [lane for lane in queue._lanes if not lane.is_urgent]
    assert [text.key for text in await queue._take(lane)] == [b"two"]


class EndsTheRun(Prepared):
    """A store in which something else of the queue fails when its texts have been read."""

    async def take(
        self, model: str, source_id: str, limit: int, besides: Collection[bytes], *, is_urgent: bool
    ) -> Sequence[WantedText]:
        texts = await super().take(model, source_id, limit, besides, is_urgent=is_urgent)
        self.fails.set()
        return texts


async def test_what_was_taken_when_a_run_ended_is_embedded_by_the_next(parts):
    collection = await parts.store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))
    prepared = EndsTheRun(parts.store.database)
    prepared.fails = anyio.Event()
    await prepared.put(replacement(collection.id, "a.txt", "one", "two"), "hash-1", Urgency.BACKFILL)
    embedded = anyio.Event()

    async def embedder():
        return parts.embedder

    async def refuse(_text, _error):
        raise AssertionError("nothing is refused here")

    async def count():
        await prepared.fails.wait()
        raise KeyError

    queue = EmbeddingQueue(prepared, embedder, "hash-1", without_task)
    counting, queue._counting.run = queue._counting.run, count
    (lane,) = [lane for lane in queue._lanes if not lane.is_urgent]
    room, lane.room = lane.room, anyio.Semaphore(0)  # as while all requests are under way
    with pytest.raises(ExceptionGroup):
        await queue.run(refuse, embedded.set)
    queue._counting.run, lane.room = counting, room
    async with anyio.create_task_group() as group:
        group.start_soon(queue.run, refuse, embedded.set)
        with anyio.fail_after(60):
            await embedded.wait()
        group.cancel_scope.cancel()
    assert sorted(parts.embedder.embedded) == ["one", "two"]
