"""Runs that ended long ago are forgotten, and what somebody may still ask for stays."""

import time

import pytest

from syncd.model import Counts, Embedding, OneObject, Origin, SomeKeys, State, Target
from syncd.model.records import Chunking
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store, run_history
from syncd.store.progress import Outcome

TARGET = Target("default_database", "docs")
OTHER = Target("default_database", "others")
LATER = 10_000.0


@pytest.fixture
async def store(tmp_path, monkeypatch):
    monkeypatch.setattr(run_history, "PAGE_RUNS", 3)
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def source(store):
    settings = FolderSourceSettings(path="/a")
    return await store.sources.create("folder", TARGET.database, settings, Embedding(model="hash"), Chunking())


async def ended(store, source, request=None, target=TARGET, state=State.COMPLETE) -> str:
    run = await store.invocations.create(source.id, target, Origin.EVENT, request)
    await store.progress.note(run.id, [Outcome("a.md", "indexed", "", "1", 1)])
    await store.invocations.settle(run.id, state, Counts())
    return run.id


async def left(store) -> set[str]:
    return {run.id for run in await store.invocations.list(limit=1000)}


async def test_the_last_run_of_each_object_and_over_the_source_into_each_collection_stays(store, source):
    kept = set[str]()
    for _ in range(4):
        kept = {
            await ended(store, source),
            await ended(store, source, target=OTHER, state=State.FAILED),
            await ended(store, source, OneObject("a.md")),
            await ended(store, source, OneObject("b.md"), state=State.FAILED),
        }
        await ended(store, source, SomeKeys(("a.md",)))
    assert await store.run_history.forget(time.time() + LATER) == 20 - 4
    assert await left(store) == kept
    assert await store.run_history.forget(time.time() + LATER) == 0
    outcomes = "SELECT DISTINCT invocation_id FROM outcomes"
    assert {ident for (ident,) in await store.database.read(lambda c: c.execute(outcomes).fetchall())} == kept


async def test_what_ended_lately_is_not_over_or_holds_deletes_stays(store, source):
    waiting = await store.invocations.create(source.id, TARGET, Origin.API, SomeKeys(("b.md",)))
    holding = await ended(store, source)
    await store.progress.hold_deletes(holding, ["a.md"], "suspiciously many")
    kept = {waiting.id, holding, await ended(store, source, SomeKeys(("a.md",))), await ended(store, source)}
    assert await store.run_history.forget(time.time() - LATER) == 0
    assert await left(store) == kept
    assert await store.run_history.forget(time.time() + LATER) == 1
    assert await left(store) >= {waiting.id, holding}


async def test_of_a_source_that_is_gone_nothing_stays(store, source):
    await ended(store, source)
    await ended(store, source, OneObject("a.md"))
    await store.sources.delete(source.id, "purge")
    assert await store.run_history.forget(time.time() + LATER) == 2
    assert await left(store) == set()
