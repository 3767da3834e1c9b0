"""Documents between parsing and the vector store, as the store keeps them."""

from dataclasses import replace

import numpy as np
import pytest

from syncd.errors import ConflictError
from syncd.model import Embedding, Target
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Removal, Replacement, Urgency

MODEL = "hash-1"


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path / "state", TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def collection(store) -> int:
    return (await store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))).id


def replacement(collection: int, key: str, *texts: str, source: str = "source", version: str = "1") -> Replacement:
    chunks = [NewChunk(text, "", text.encode(), {"chunk_index": number}) for number, text in enumerate(texts)]
    return Replacement(collection, source, key, f"prefix-of-{key}", version, "made", "hash", 1, chunks)


def vector(*texts: str) -> dict[bytes, np.ndarray]:
    return {text.encode(): np.ones(2, np.float32) for text in texts}


async def keys(store, *, source: str = "source", limit: int = 10, besides=(), is_urgent: bool = False) -> list[bytes]:
    return [text.key for text in await store.prepared.take(MODEL, source, limit, besides, is_urgent=is_urgent)]


async def test_a_document_is_ready_when_its_last_vector_is_there(store, collection):
    document = await store.prepared.put(replacement(collection, "a", "one", "two"), MODEL, Urgency.BACKFILL)
    assert (document.chunks, document.wanted, document.embedded) == (2, 2, 2)
    assert await store.prepared.embedded(vector("one"), {b"one": 5}) == []
    assert await store.prepared.ready(10, ()) == []
    (complete,) = await store.prepared.embedded(vector("two"), {b"two": 6})
    assert (complete.id, complete.wanted, complete.tokens) == (document.id, 0, 11)
    assert [one.id for one in await store.prepared.ready(10, ())] == [document.id]


async def test_a_promotion_puts_it_in_the_outbox_and_ends_it(store, collection):
    document = await store.prepared.put(replacement(collection, "a", "one"), MODEL, Urgency.BACKFILL)
    await store.prepared.embedded(vector("one"), {})
    (staged,) = await store.documents.stage([document.promotion])
    assert (staged.written, staged.chunk_ids, staged.overtaken) == (1, ["prefix-of-a-0"], False)
    assert await store.prepared.get(*document.owner) is None
    (again,) = await store.documents.stage([document.promotion])
    assert (again.overtaken, again.chunk_ids) == (True, ())


async def test_a_later_version_takes_the_place_of_an_earlier_one(store, collection):
    first = await store.prepared.put(replacement(collection, "a", "one"), MODEL, Urgency.BACKFILL)
    second = await store.prepared.put(replacement(collection, "a", "two", version="2"), MODEL, Urgency.BACKFILL)
    assert second.id > first.id
    assert await keys(store) == [b"two"]
    (staged,) = await store.documents.stage([first.promotion])
    assert staged.overtaken
    assert (await store.prepared.get(*first.owner)).version == "2"


async def test_removing_a_document_takes_back_what_is_prepared_of_it(store, collection):
    document = await store.prepared.put(replacement(collection, "a", "one"), MODEL, Urgency.BACKFILL)
    await store.documents.stage([Removal(*document.owner)])
    assert await store.prepared.get(*document.owner) is None
    assert await keys(store) == []


async def test_a_text_that_two_documents_want_is_taken_once_and_serves_both(store, collection):
    await store.prepared.put(replacement(collection, "a", "one"), MODEL, Urgency.BACKFILL)
    await store.prepared.put(replacement(collection, "b", "one"), MODEL, Urgency.BACKFILL)
    assert await keys(store) == [b"one"]
    assert len(await store.prepared.embedded(vector("one"), {b"one": 5})) == 2


async def test_urgent_texts_have_a_queue_of_their_own_with_the_most_urgent_first(store, collection):
    for number, urgency in enumerate((Urgency.BACKFILL, Urgency.CHANGE, Urgency.OBJECT)):
        await store.prepared.put(replacement(collection, f"{number}", f"text {number}"), MODEL, urgency)
    assert await keys(store) == [b"text 0"]
    assert await keys(store, is_urgent=True) == [b"text 2", b"text 1"]
    document = await store.prepared.get(collection, "source", "0")
    await store.prepared.hurry(document.id, Urgency.OBJECT)
    await store.prepared.hurry(document.id, Urgency.BACKFILL)
    assert await keys(store) == []


async def test_what_is_in_flight_is_not_taken_twice_and_sources_have_queues(store, collection):
    await store.prepared.put(replacement(collection, "a", "one", "two"), MODEL, Urgency.BACKFILL)
    await store.prepared.put(replacement(collection, "b", "three", source="other"), MODEL, Urgency.BACKFILL)
    assert await store.prepared.queues(MODEL, is_urgent=False) == ["other", "source"]
    assert await keys(store, besides={b"one"}) == [b"two"]
    assert await store.prepared.queues("another model", is_urgent=False) == []


async def test_another_documents_chunk_ids_are_refused_before_anything_is_embedded(store, collection):
    await store.documents.stage([replacement(collection, "a", "one")])
    taken = replace(replacement(collection, "b", "two"), prefix="prefix-of-a")
    with pytest.raises(ConflictError, match="belong to 'a'"):
        await store.prepared.put(taken, MODEL, Urgency.BACKFILL)
    assert await keys(store) == []


async def test_the_share_with_vectors_counts_what_is_written_and_what_is_on_its_way(store, collection):
    assert await store.prepared.coverage(collection) == 1.0
    await store.documents.stage([replacement(collection, "a", "one", "two")])
    await store.prepared.put(replacement(collection, "b", "three", "four"), MODEL, Urgency.BACKFILL)
    assert await store.prepared.coverage(collection) == 0.5
    await store.prepared.embedded(vector("three"), {})
    assert await store.prepared.coverage(collection) == 0.75


async def test_vectors_of_prepared_documents_are_not_evicted(store, collection):
    await store.prepared.put(replacement(collection, "a", "one", "two"), MODEL, Urgency.BACKFILL)
    await store.prepared.embedded(vector("one", "nobody's"), {})
    assert await store.vectors.collect_garbage(-1.0) == 1
    assert await store.vectors.missing([b"one"]) == set()


async def test_a_prepared_document_that_its_source_no_longer_has_is_unseen(store, collection):
    await store.prepared.put(replacement(collection, "a", "one"), MODEL, Urgency.BACKFILL)
    assert await store.progress.unseen(collection, "source", 2) == ["a"]
    await store.progress.mark_seen(collection, "source", ["a"], 2)
    assert await store.progress.unseen(collection, "source", 2) == []
    assert [key async for key in store.documents.keys(collection, "source")] == ["a"]


async def tokens_left(store) -> tuple[int, int]:
    """Return the counted tokens of what has no vector, and the bytes of what is not counted."""
    backlog = await store.prepared.backlog()
    return backlog.wanted_tokens, backlog.uncounted_bytes


async def test_the_tokens_that_are_left_are_those_counted_of_what_has_no_vector(store, collection):
    await store.prepared.put(replacement(collection, "a", "one", "three"), MODEL, Urgency.BACKFILL)
    assert [text.text for text in await store.prepared.uncounted(MODEL, 10)] == ["one", "three"]
    assert await tokens_left(store) == (0, 8)
    await store.prepared.counted({b"one": 5})
    assert [text.text for text in await store.prepared.uncounted(MODEL, 10)] == ["three"]
    assert await tokens_left(store) == (5, 5)
    await store.prepared.counted({b"one": 7, b"three": 6})
    assert (await store.prepared.uncounted(MODEL, 10), await tokens_left(store)) == ([], (11, 0))
    await store.prepared.embedded(vector("one"), {b"one": 5})
    assert await tokens_left(store) == (6, 0)


async def test_a_text_that_is_embedded_before_it_is_counted_leaves_nothing_to_count(store, collection):
    await store.prepared.put(replacement(collection, "a", "one", "three"), MODEL, Urgency.BACKFILL)
    await store.prepared.embedded(vector("one"), {b"one": 5})
    await store.prepared.counted({b"one": 5, b"three": 6})
    assert await tokens_left(store) == (6, 0)


async def test_a_text_that_several_documents_have_costs_its_tokens_once(store, collection):
    await store.prepared.put(replacement(collection, "a", "one"), MODEL, Urgency.BACKFILL)
    await store.prepared.counted({b"one": 5})
    await store.prepared.put(replacement(collection, "b", "one", "one"), MODEL, Urgency.BACKFILL)
    await store.prepared.counted({b"one": 5})
    assert await tokens_left(store) == (5, 0)
    await store.prepared.embedded(vector("one"), {b"one": 5})
    assert await tokens_left(store) == (0, 0)
