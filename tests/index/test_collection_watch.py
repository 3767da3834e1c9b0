"""A collection that needs many times the space of its rows is filled anew from the store, without embedding."""

import anyio
import pytest

from syncd.index.collection_watch import CollectionWatch, WatchSettings
from tests.pipeline.parts import write

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}, which matters here.\n" for n in range(12)}


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
    watch = CollectionWatch(parts.store, parts.chroma, parts.index, WatchSettings(compact_above=2.5), lambda: 0)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            await group.start(watch.run)
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
