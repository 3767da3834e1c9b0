"""A collection that somebody deleted, emptied or renamed in Chroma is filled from the store, without fetching or embedding."""

from contextlib import suppress

import anyio
import numpy as np
import pytest

from syncd.errors import NotFoundError, PermanentError
from syncd.index.changes import Rebuild
from syncd.index.collection_watch import CollectionWatch, WatchSettings
from syncd.model import NOTHING, Rows, Target
from tests.chroma.failing_proxy import FailingProxy, once
from tests.daemon import held
from tests.pipeline.parts import running, write

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}, which matters here.\n" for n in range(12)}
EVENT = {"3.md": "# Title 3\n\nOther words by now, about another thing altogether.\n"}


@pytest.fixture
def proxy(chroma_server):
    with FailingProxy(chroma_server).running() as proxy:
        yield proxy


@pytest.fixture
def vector_server(proxy):
    return proxy


async def event(parts, folder, target) -> None:
    """One document changes and only that one is looked at."""
    write(folder, EVENT)
    await parts.sync(folder, target, keys=["3.md"])


async def as_if_nothing_had_happened(parts, folder, fresh, server) -> dict:
    """Return the rows of a collection that was only ever written by us."""
    other = Target(fresh.database, fresh.collection + "-calm")
    write(folder, FILES)
    await parts.sync(folder, other)
    await event(parts, folder, other)
    return held(server.host, server.port, other.collection).rows


async def empty(parts, target) -> None:
    await parts.chroma.write(target, [row.id for row in await parts.chroma.get(target)], NOTHING, NOTHING)


async def rename(parts, target) -> str:
    collection = await parts.chroma._fresh(target)
    await collection.modify(name=target.collection + "-renamed")
    return target.collection + "-renamed"


async def delete(parts, target) -> None:
    await parts.chroma._connected().delete_collection(target.collection, "default_tenant", target.database)


async def recreate(parts, target) -> None:
    await delete(parts, target)
    await parts.chroma._connected().create_collection(
        target.collection, tenant="default_tenant", database=target.database
    )


@pytest.mark.parametrize("meddle", [delete, empty, rename, recreate])
async def test_one_event_after_somebody_meddled_leaves_the_whole_collection(
    parts, folder, target, chroma_server, meddle
):
    await parts.sync(folder, target)
    await meddle(parts, target)
    parts.embedder.embedded.clear()
    parts.index._refill._look_at.clear()
    await event(parts, folder, target)
    assert all("Other words" in text for text in parts.embedder.embedded)
    found = held(chroma_server.host, chroma_server.port, target.collection).rows
    assert found == await as_if_nothing_had_happened(parts, folder, target, chroma_server)


async def test_what_was_renamed_is_left_as_it_is(parts, folder, target):
    await parts.sync(folder, target)
    await parts.chroma.set_metadata(target, {"finished_ingest": True})
    count = await parts.chroma.count(target)
    other = Target(target.database, await rename(parts, target))
    await event(parts, folder, target)
    assert await parts.chroma.count(other) == await parts.chroma.count(target) == count
    assert not any("Other words" in row.document for row in await parts.chroma.get(other))
    assert (await parts.chroma.metadata(target))["finished_ingest"] is True


@pytest.mark.parametrize("meddle", [delete, empty, rename, recreate])
async def test_it_is_noticed_without_any_write(parts, folder, target, meddle):
    await parts.sync(folder, target)
    expected = await parts.chroma.count(target)
    await meddle(parts, target)
    async with anyio.create_task_group() as group:
        await group.start(CollectionWatch(parts.store, parts.chroma, parts.index, WatchSettings(), lambda: 0).run)
        await whole(parts, target, expected)
        group.cancel_scope.cancel()


async def whole(parts, target, expected: int) -> None:
    """Wait until it holds as many rows, and nothing is being filled."""
    with anyio.fail_after(60):
        while True:
            record = await parts.store.collections.find(target)
            with suppress(NotFoundError):  # it is being made anew
                there = await parts.chroma.collection_id(target) is not None
                if there and record.rebuilding is None and await parts.chroma.count(target) == expected:
                    return
            await anyio.sleep(0.02)


async def test_one_whose_rows_were_all_deleted_is_made_anew_before_it_gets_others(parts, folder, target, chroma_server):
    write(folder, FILES)
    await parts.sync(folder, target)
    first = await parts.chroma.collection_id(target)
    await parts.chroma.set_metadata(target, {"finished_ingest": True})
    write(folder, {file.name: None for file in folder.iterdir()})
    await parts.sync(folder, target)
    assert await parts.chroma.count(target) == 0
    assert await parts.chroma.collection_id(target) == first
    write(folder, FILES)
    await parts.sync(folder, target)
    assert await parts.chroma.collection_id(target) not in (first, None)
    assert (await parts.chroma.metadata(target))["finished_ingest"] is True
    found = held(chroma_server.host, chroma_server.port, target.collection).rows
    await event(parts, folder, target)
    assert not await parts.store.refills.is_emptied((await parts.store.collections.find(target)).id)
    write(folder, FILES)
    other = Target(target.database, f"{target.collection}-calm")
    await parts.sync(folder, other)
    assert found == held(chroma_server.host, chroma_server.port, other.collection).rows


async def emptied(parts, folder, target) -> None:
    write(folder, {file.name: None for file in folder.iterdir()})
    await parts.sync(folder, target)
    assert await parts.chroma.count(target) == 0


async def test_the_only_document_of_an_emptied_collection_fails_if_it_is_refused(
    parts, folder, target, proxy, monkeypatch
):
    monkeypatch.setattr("syncd.index.writer.GATHER_S", 10.0)
    await parts.sync(folder, target)
    await emptied(parts, folder, target)
    proxy.fails = lambda _, path, body: 400 if path.endswith("/add") and b"Other words" in body else None
    write(folder, EVENT)
    with anyio.fail_after(60), pytest.raises(PermanentError, match="1 failed"):
        await parts.sync(folder, target)


async def test_writes_to_an_emptied_collection_wait_while_chroma_is_away(parts, folder, target, proxy):
    await parts.sync(folder, target)
    await emptied(parts, folder, target)
    write(folder, EVENT)
    proxy.fails = lambda *_: 503 if proxy.failed < 7 else None  # more than a held request would have patience for
    await parts.sync(folder, target)
    await whole(parts, target, 1)


async def test_rows_of_somebodys_own_that_come_after_it_was_found_emptied_stay(parts, folder, target, proxy):
    await parts.sync(folder, target)
    await emptied(parts, folder, target)
    write(folder, EVENT)
    failed = anyio.Event()

    def fails(method, _path, _body):
        if method != "DELETE":
            return None
        failed.set()
        return 503

    proxy.fails = fails
    async with anyio.create_task_group() as group:
        group.start_soon(parts.sync, folder, target)
        await failed.wait()
        own = Rows(["own"], [{"mine": True}], ["my own"], [np.ones(8, np.float32)])
        await parts.chroma.write(target, [], own, NOTHING)
        proxy.fails = lambda *_: None
    assert "own" in {row.id for row in await parts.chroma.get(target)}


async def test_a_collection_whose_sources_are_deleted_may_be_deleted(parts, folder, target):
    await parts.sync(folder, target)
    await parts.store.sources.delete((await parts.source(folder)).id)
    assert await parts.store.refills.watched() == []


async def test_rows_of_somebodys_own_are_no_reason_to_fill_again(parts, folder, target):
    await parts.sync(folder, target)
    (row, *_) = await parts.chroma.get(target, vectors=True)
    own = Rows(["own-1", "own-2"], [{"mine": True}] * 2, ["my own"] * 2, [row.vector] * 2)
    await parts.chroma.write(target, [], own, NOTHING)
    record = await parts.store.collections.find(target)
    assert not await parts.index._refill.needed(record, at_once=True)
    await parts.chroma.write(target, ["own-1"], NOTHING, NOTHING)
    # One row fewer may be one of ours: everything is compared, once.
    await parts.index.look(record.id)
    assert not await parts.index._refill.needed(record, at_once=True)
    assert {row.id for row in await parts.chroma.get(target)} >= {"own-2"}


async def test_a_row_lost_behind_somebodys_own_is_found(parts, folder, target):
    await parts.sync(folder, target)
    (row, *_) = await parts.chroma.get(target, vectors=True)
    own = Rows(["own-1", "own-2"], [{"mine": True}] * 2, ["my own"] * 2, [row.vector] * 2)
    await parts.chroma.write(target, [], own, NOTHING)
    record = await parts.store.collections.find(target)
    await parts.index.look(record.id)
    await parts.chroma.write(target, [row.id], NOTHING, NOTHING)
    await parts.index.look(record.id)
    assert [found.id for found in await parts.chroma.get(target, [row.id])] == [row.id]


async def test_a_rebuild_cut_off_by_one_503_goes_on_by_itself(parts, folder, target, proxy):
    await parts.sync(folder, target)
    expected = await parts.chroma.count(target)
    for path in ("/collections", "/add", "/get"):
        proxy.fails = once(
            lambda method, found, _body, path=path: 503 if method == "POST" and found.endswith(path) else None
        )
        await parts.index.rebuild(target)
        assert await parts.chroma.count(target) == expected
        assert (await parts.store.collections.find(target)).rebuilding is None
    assert proxy.failed == 3


async def test_a_rebuild_cut_off_by_the_end_of_the_daemon_goes_on_where_it_was(
    tmp_path, folder, target, proxy, monkeypatch
):
    monkeypatch.setattr("syncd.index.refill.WRITE_SIZE", 5)
    async with running(tmp_path / "state", proxy) as parts:
        await parts.sync(folder, target)
        expected = await parts.chroma.count(target)
        adds = 0

        def third_add(_method: str, path: str, _body: bytes) -> int | None:
            nonlocal adds
            adds += path.endswith("/add")
            return 503 if adds > 2 and path.endswith("/add") else None

        proxy.fails = third_add
        await parts.index.mailbox.put(Rebuild(target))
        with anyio.fail_after(60):
            while not proxy.failed:  # noqa: ASYNC110 - counted in another thread
                await anyio.sleep(0.02)
    proxy.fails = lambda *_: None
    before = proxy.passed
    async with running(tmp_path / "state", proxy) as parts:
        record = await parts.store.collections.find(target)
        assert record.refilled > (0, -1)
        await whole(parts, target, expected)
    assert proxy.passed > before
