"""A collection that needs many times the space of its rows is filled anew from the store, without embedding."""

import anyio
import numpy as np
import pytest
from structlog.testing import capture_logs

from syncd.index.collection_watch import CollectionWatch, WatchSettings
from syncd.model import NOTHING, Rows
from tests.pipeline.parts import write

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}, which matters here.\n" for n in range(12)}

OWN = Rows(["own"], [{"mine": True}], ["my own note"], [np.eye(1, 8, dtype=np.float32)[0]])


def watch_of(parts) -> CollectionWatch:
    settings = WatchSettings(check_s=0.01, compact_above=2.5)
    return CollectionWatch(parts.store, parts.chroma, parts.index, settings, lambda: 0)


async def rewritten(parts, folder, target) -> None:
    """Have each file changed three times, which leaves more deleted rows than others."""
    for times in range(1, 4):
        write(folder, {name: text.replace("matters", f"matters {times} times") for name, text in FILES.items()})
        await parts.sync(folder, target)


async def bloat(parts) -> float:
    (state,) = await parts.store.refills.states()
    return state.bloat


@pytest.fixture
def little(monkeypatch):
    monkeypatch.setattr("syncd.store.refills.LITTLE_DELETED", 20)


async def test_what_is_rewritten_again_and_again_is_made_anew_and_what_is_not_stays(parts, folder, target, little):
    await parts.sync(folder, target)
    ident, rows = await parts.chroma.collection_id(target), len(FILES)
    for times in range(1, 4):
        assert await bloat(parts) == times
        assert await parts.store.refills.bloated(2.5) == ([target] if times > 2.5 else [])
        write(folder, {name: text.replace("matters", f"matters {times} times") for name, text in FILES.items()})
        await parts.sync(folder, target)
    parts.embedder.embedded.clear()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            await group.start(watch_of(parts).run)
            while await bloat(parts) > 1:  # noqa: ASYNC110 - SQLite sets no event
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    # Whoever asks for the whole collection waits until it is there.
    await parts.index.look((await parts.store.collections.find(target)).id)
    assert await parts.chroma.collection_id(target) != ident
    found = await parts.chroma.get(target)
    assert len(found) == rows
    assert all("3 times" in row.document for row in found)
    assert parts.embedder.embedded == []
    assert await parts.store.refills.bloated(2.5) == []


async def test_one_that_also_holds_rows_of_somebodys_own_stays_as_it_is_until_they_are_gone(
    parts, folder, target, little
):
    await parts.sync(folder, target)
    await parts.chroma.write(target, [], OWN, NOTHING)
    await rewritten(parts, folder, target)
    ident = await parts.chroma.collection_id(target)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            with capture_logs() as logged:
                await group.start(watch_of(parts).run)
                while not [one for one in logged if one["event"] == "index.not_compacted"]:  # noqa: ASYNC110 - a log sets no event
                    await anyio.sleep(0.02)
            await parts.index.look((await parts.store.collections.find(target)).id)
            assert [row.id for row in await parts.chroma.get(target, ["own"])] == ["own"]
            assert await parts.chroma.collection_id(target) == ident
            await parts.chroma.write(target, ["own"], NOTHING, NOTHING)
            while await bloat(parts) > 1:  # noqa: ASYNC110 - SQLite sets no event
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()


async def test_one_stays_too_where_rows_of_ours_are_missing_beside_those_of_somebodys_own(
    parts, folder, target, little
):
    await parts.sync(folder, target)
    await rewritten(parts, folder, target)
    first, *_ = [row.id for row in await parts.chroma.get(target)]
    await parts.chroma.write(target, [first], NOTHING, NOTHING)
    await parts.chroma.write(target, [], OWN, NOTHING)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            with capture_logs() as logged:
                await group.start(watch_of(parts).run)
                while not [one for one in logged if one["event"] in ("index.not_compacted", "index.compacting")]:  # noqa: ASYNC110 - a log sets no event
                    await anyio.sleep(0.02)
            await parts.index.look((await parts.store.collections.find(target)).id)
            group.cancel_scope.cancel()
    assert [row.id for row in await parts.chroma.get(target, ["own"])] == ["own"]
