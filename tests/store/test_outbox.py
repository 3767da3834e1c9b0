"""Reading chunks in pages and by chance, whatever else the collection and the database hold."""

import numpy as np
import pytest

from syncd.model import Embedding, Target
from syncd.store.changes import NewChunk, Replacement
from syncd.store.outbox import Portion
from syncd.store.vectors import vector_key
from tests.store.test_prepared import store

__all__ = ["store"]

PORTIONS = [Portion(), Portion("even"), Portion(share=0.5, salt=7), Portion("odd", 0.5, 7)]


async def collection(store, name, first, last):
    """Return a collection of documents with these numbers, three chunks each; nothing of them is left to write."""
    target = Target("default_database", name)
    ident = (await store.collections.open(target, Embedding(model="hash"))).id
    documents = []
    for number in range(first, last):
        texts = [f"text {number} {part}" for part in range(3)]
        chunks = [NewChunk(text, "", vector_key("hash", None, text), {"chunk_index": 0}) for text in texts]
        source, key = ("odd" if number % 2 else "even"), f"{number:05}"
        documents.append(Replacement(ident, source, key, key, "1", "made", "hash", 1, chunks))
    vectors = {chunk.vector_key: np.ones(4, np.float32) for document in documents for chunk in document.chunks}
    await store.vectors.put(vectors)
    await store.documents.stage(documents)
    ids = list(await store.outbox.ids(ident))
    for start in range(0, len(ids), 300):
        await store.outbox.clear(ident, await store.outbox.waiting(ident, ids[start : start + 300]))
    return ident


async def steps(store, reading):
    """Return how many tens of instructions SQLite's machine needs for it, which does not depend on how busy this one is."""
    counted: list[None] = []
    await store.database.read(lambda c: c.set_progress_handler(lambda: counted.append(None), 10))
    await reading
    await store.database.read(lambda c: c.set_progress_handler(None, 10))
    return len(counted)


async def test_pages_have_every_chunk_of_a_portion_once_in_order(store):
    one = await collection(store, "one", 0, 40)
    await collection(store, "other", 40, 60)
    everything = {f"{number:05}-{part}" for number in range(40) for part in range(3)}
    for portion in PORTIONS:
        found = [row async for page in store.outbox.rows(one, 7, portion) for row in page]
        assert all(row.is_sound for row in found)
        ids = [row.id for row in found]
        assert ids == sorted(set(ids))
        expected = {
            i for i in everything if portion.source_id is None or (int(i[:5]) % 2 == 1) == (portion.source_id == "odd")
        }
        assert set(ids) == expected if portion.share == 1 else 0 < len(ids) < len(expected)


@pytest.mark.parametrize("portion", PORTIONS)
async def test_a_page_costs_the_same_however_many_documents_the_collection_has(store, portion):
    needed = []
    for first, last in ((0, 100), (100, 2_000)):
        ident = await collection(store, "one", first, last)
        needed.append(await steps(store, store.outbox.page(ident, size=10, portion=portion)))
    assert needed[1] < 2 * needed[0]


async def test_a_sample_is_of_chunks_that_the_vector_store_should_have(store):
    ident = await collection(store, "one", 0, 40)
    await collection(store, "other", 40, 60)
    assert len(await store.outbox.sample(ident, 1000)) == 120
    await store.outbox.want(ident, ["00004-1"])
    found = [row.id for row in await store.outbox.sample(ident, 1000, "even")]
    assert sorted(found) == [f"{n:05}-{part}" for n in range(0, 40, 2) for part in range(3) if (n, part) != (4, 1)]


async def test_samples_are_of_the_size_asked_for_and_reach_every_document(store):
    ident = await collection(store, "one", 0, 200)
    seen = set()
    for _ in range(200):
        found = [row.id for row in await store.outbox.sample(ident, 10)]
        assert len(found) == len(set(found)) == 10
        seen.update(chunk_id[:5] for chunk_id in found)
    assert len(seen) > 190


async def test_a_sample_looks_at_the_chunks_of_few_documents(store):
    needed = []
    for first, last in ((0, 200), (200, 4_000)):
        ident = await collection(store, "one", first, last)
        needed.append(await steps(store, store.outbox.sample(ident, 5)))
    # A document more costs a look at its number, but not one at its chunks and what is to be written of them.
    assert needed[1] < 12 * needed[0]
