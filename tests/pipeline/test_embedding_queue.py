from collections.abc import Collection, Sequence

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


async def test_what_was_in_flight_when_the_store_was_asked_is_not_embedded_twice(parts):
    collection = await parts.store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))
    prepared = AnsweredMeanwhile(parts.store.database)
    await prepared.put(replacement(collection.id, "a.txt", "one", "two"), MODEL, Urgency.BACKFILL)

    async def embedder():
        raise AssertionError("nothing is embedded here")

    prepared.queue = queue = EmbeddingQueue(prepared, embedder, MODEL, lambda _: None)
    queue._in_flight.add(b"one")
    lane = next(lane for lane in queue._lanes if not lane.is_urgent)
    assert [text.key for text in await queue._take(lane)] == [b"two"]
