"""A page of a collection's documents is read in the order of an index, however many there are."""

import itertools
from dataclasses import replace

import pytest

from syncd.model import DocumentState, Embedding, Target
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Removal, Replacement, Urgency
from syncd.store.document_list import ListedPart

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


async def by_keys(store, collection, part):
    """Go through documents page by page, each from the last key of the one before."""
    found = []
    while page := await store.listed.page(collection, part):
        found += page
        seen = sum(it.key == page[-1].key for it in page)
        is_same = page[-1].key == part.from_key
        part = replace(part, from_key=page[-1].key, offset=seen + (part.offset if is_same else 0))
    return found


async def test_pages_follow_one_another_by_key_in_every_narrowing(store, collection):
    found = {}
    for source, stage in itertools.product((None, "one", "two"), STAGES):
        whole = found[source, stage] = await store.listed.page(collection, ListedPart(source, stage))
        parts = [ListedPart(source, stage, limit=3, offset=offset) for offset in range(0, 24, 3)]
        pages = [await store.listed.page(collection, part) for part in parts]
        assert list(itertools.chain(*pages)) == list(whole)
        for limit in (1, 2, 3, 5):
            assert await by_keys(store, collection, ListedPart(source, stage, limit=limit)) == list(whole)
        begun = ListedPart(source, stage, "b", limit=2)
        assert await by_keys(store, collection, begun) == [it for it in whole if it.key.startswith("b")]
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
    await store.listed.page(collection, ListedPart(source, stage, limit=10, offset=5))
    await store.database.read(lambda c: c.set_trace_callback(None))
    statement = asked[0].replace("ORDER BY page.key, page.source_id, turn", "")
    plan = await store.database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
    steps = [row[3] for row in plan]
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps
    # What comes before the page is not stepped over.
    read = [step for step in steps if "collection_id=?" in step]
    assert read
    assert [step for step in read if "key>? AND key<?" not in step] == []
    # Nor is what other sources have.
    assert [step for step in read if source and "source_id=?" not in step] == []
