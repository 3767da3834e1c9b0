from syncd.model import Embedding, Target
from syncd.store.changes import NewChunk, Removal, Replacement
from syncd.store.refills import _BLOAT
from tests.store.test_outbox import collection
from tests.store.test_prepared import store

__all__ = ["store"]


async def test_chunks_are_counted_without_reading_their_texts(store):
    plan = await store.database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {_BLOAT}").fetchall())
    assert any("COVERING INDEX chunks_by_document" in row[3] for row in plan)


async def test_a_collection_is_listed_until_its_last_source_is_gone_with_its_documents(store):
    ident = (await store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))).id
    chunk = NewChunk("text", "", b"text", {})

    async def listed():
        return [state.collection_name for state in await store.refills.states()]

    assert await listed() == []
    await store.documents.stage([Replacement(ident, "one", "a", "a", "1", "made", "hash", 1, [chunk])])
    assert await listed() == ["docs"]
    await store.progress.save_cursor("one", ident, "settings", "everything")
    await store.documents.stage([Removal(ident, "one", "a")])
    # Its source may be an empty folder.
    assert await listed() == ["docs"]
    await store.progress.forget_cursor("one", ident)
    assert await listed() == []


async def test_expected_ids_are_those_that_are_counted_in_pages(store):
    ident = await collection(store, "one", 0, 20)
    await collection(store, "other", 20, 30)
    damaged = ["00003-0", "00004-1", "00005-2"]
    await store.database.write(lambda c: c.execute("UPDATE chunks SET text = 'xx' WHERE document_id IN (4, 5, 6)"))
    await store.repairs.repair(ident, damaged, damaged)
    pages = [ids async for ids in store.refills.expected_ids(ident, 7)]
    assert max(map(len, pages)) == 7
    ids = [chunk_id for page in pages for chunk_id in page]
    assert sorted(ids) == [f"{number:05}-{part}" for number in range(20) for part in range(3)]
    assert len(ids) == (await store.refills.expected(ident))[0]
