from syncd.model import Embedding, Target
from syncd.store.changes import NewChunk, Removal, Replacement
from syncd.store.refills import _BLOAT
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
