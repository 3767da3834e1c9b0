"""What is counted for monitoring."""

from syncd.model import DocumentState, Embedding, Target
from syncd.store.census import DocumentCount, SourceLabel, UnfinishedRuns
from syncd.store.changes import Removal, Urgency
from syncd.store.prepared import Backlog
from tests.asking import asked
from tests.store.test_prepared import MODEL, replacement, store, vector
from tests.store.test_store import source

__all__ = ["store"]

DOCS = Target("default_database", "docs")


async def test_documents_are_counted_by_source_collection_and_state(store):
    named, unnamed = await source(store, "notes"), await source(store)
    collection = (await store.collections.open(DOCS, Embedding())).id
    for record, keys in ((named, "abc"), (unnamed, "de")):
        for key in keys:
            change = replacement(collection, f"{record.id}-{key}", "text", source=record.id)
            await store.documents.stage([change])
    await store.documents.record_failure(
        Removal(collection, named.id, "x", "1", "made", DocumentState.FAILED, "broken", 1)
    )
    census = await store.censuses.take()
    assert census.sources == {named.id: SourceLabel("notes", "db"), unnamed.id: SourceLabel(unnamed.id, "db")}
    assert sorted(census.documents, key=lambda count: count.documents) == [
        DocumentCount(named.id, DOCS, DocumentState.FAILED, 1),
        DocumentCount(unnamed.id, DOCS, DocumentState.INDEXED, 2),
        DocumentCount(named.id, DOCS, DocumentState.INDEXED, 3),
    ]


async def test_what_waits_is_counted_by_source_and_stage(store):
    record = await source(store)
    collection = (await store.collections.open(DOCS, Embedding())).id
    for key in ("one", "two", "three"):
        await store.prepared.put(replacement(collection, key, key, source=record.id), MODEL, Urgency.BACKFILL)
    await store.prepared.embedded(vector("one"), {})
    for name in ("docs", "wiki"):
        await store.invocations.create(record.id, Target("db", name), "api", asked())
    census = await store.censuses.take()
    assert census.backlogs == {record.id: Backlog(documents=3, embedded=1)}
    assert census.unfinished == {record.id: UnfinishedRuns(pending=2)}
