"""A page of a collection's documents is read in the order of an index, however many there are."""

import itertools

import pytest

from syncd.model import DocumentState, Embedding, Target
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Removal, Replacement, Urgency

STAGES = (None, "written", "prepared", "skipped", "failed")


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def collection(store) -> int:
    """Documents of two sources in every stage; of some a new version waits."""
    ident = (await store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))).id
    for number, (source, key) in enumerate(itertools.product(("one", "two"), "dbac")):
        change = Replacement(
            ident, source, key, f"{source}-{key}", "1", "made", "hash", 1, [NewChunk("text", "", b"text", {})]
        )
        state = DocumentState.SKIPPED if number % 2 else DocumentState.FAILED
        kept = Removal(ident, source, f"{key}.bin", "1", "made", state, "it is binary")
        await store.documents.stage([change, kept])
        if key in "ab":
            await store.prepared.put(change, "other", Urgency.BACKFILL)
    return ident


async def test_pages_follow_one_another_by_key_in_every_narrowing(store, collection):
    found = {}
    for source, stage in itertools.product((None, "one", "two"), STAGES):
        whole = found[source, stage] = await store.listed.page(collection, source, stage, 100, 0)
        pages = [await store.listed.page(collection, source, stage, 3, offset) for offset in range(0, 24, 3)]
        assert list(itertools.chain(*pages)) == list(whole)
        assert [(it.key, it.source_id) for it in whole] == sorted((it.key, it.source_id) for it in whole)
        everything = found[None, None]
        assert list(whole) == [it for it in everything if source in (None, it.source_id) and stage in (None, it.stage)]
    assert {stage: len(found[None, stage]) for stage in STAGES} == {
        None: 20, "written": 8, "prepared": 4, "skipped": 4, "failed": 4,
    }  # fmt: skip
    assert {(it.chunks, it.reason) for it in found[None, "written"]} == {(1, "")}
    assert {(it.chunks, it.reason) for it in found[None, "failed"]} == {(0, "it is binary")}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("source", [None, "one"])
async def test_no_rows_are_sorted_to_make_a_page(store, collection, source, stage):
    asked: list[str] = []
    await store.database.read(lambda c: c.set_trace_callback(asked.append))
    await store.listed.page(collection, source, stage, 10, 5)
    await store.database.read(lambda c: c.set_trace_callback(None))
    statement = asked[0].replace("ORDER BY page.key, page.source_id, turn", "")
    plan = await store.database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
    assert not [row[3] for row in plan if row[3] == "USE TEMP B-TREE FOR ORDER BY"]
