"""A refusal is believed of a document only where the collection takes other writes; until then everything waits."""

import json

import anyio
import pytest

from syncd.errors import RetryableError
from syncd.model import Counts, Target
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.sync.deletes import DeleteGuard
from tests.chroma.failing_proxy import FailingProxy
from tests.daemon import held
from tests.pipeline.parts import write

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}, which matters here.\n" for n in range(6)}
CHANGED = {name: text + "\n## More\n\nA second part that was not there before.\n" for name, text in FILES.items()}
WRITES = ("/add", "/update", "/upsert", "/delete")


@pytest.fixture
def proxy(chroma_server):
    with FailingProxy(chroma_server).running() as proxy:
        yield proxy


@pytest.fixture
def vector_server(proxy):
    return proxy


def everything(_method: str, _path: str, _body: bytes) -> int:
    return 400


def adds(_method: str, path: str, _body: bytes) -> int | None:
    return 400 if path.endswith("/add") else None


def all_writes(_method: str, path: str, _body: bytes) -> int | None:
    return 400 if path.endswith(WRITES) else None


async def states(parts) -> set[tuple[str, str]]:
    return set(await parts.store.database.read(lambda c: c.execute("SELECT state, reason FROM documents").fetchall()))


@pytest.mark.parametrize("refused", [everything, all_writes, adds])
async def test_while_everything_is_refused_nothing_goes_and_afterwards_everything_is_there(
    parts, folder, target, proxy, chroma_server, refused
):
    await parts.sync(folder, target)
    before = held(chroma_server.host, chroma_server.port, target.collection).rows
    record = await parts.source(folder)
    invocation = await parts.invocation(record, target)
    collection = await parts.index.open(target, record.embedding)
    write(folder, CHANGED)
    async with anyio.create_task_group() as group:
        proxy.fails = refused
        group.start_soon(run_over, parts, folder, record, invocation, collection)
        with anyio.fail_after(60):
            while parts.index.status() is None:  # noqa: ASYNC110 - it is for people, and wakes nobody
                await anyio.sleep(0.02)
        assert "refuse" in parts.index.status()
        now = held(chroma_server.host, chroma_server.port, target.collection).rows
        assert {row_id: row[0] for row_id, row in before.items()}.items() <= {
            i: row[0] for i, row in now.items()
        }.items()
        proxy.fails = lambda *_: None
    assert await states(parts) == {("indexed", "")}
    with anyio.fail_after(60):
        while parts.index.status() is not None:  # noqa: ASYNC110 - it is for people, and wakes nobody
            await anyio.sleep(0.02)
    found = {row[0] for row in held(chroma_server.host, chroma_server.port, target.collection).rows.values()}
    assert found == {text for (text,) in await texts(parts)}
    assert await parts.chroma.get(target, ["syncd-probe"]) == []


async def texts(parts) -> list[tuple[str]]:
    return await parts.store.database.read(lambda c: c.execute("SELECT text FROM chunks").fetchall())


async def run_over(parts, folder, record, invocation, collection) -> None:
    """Do what `Parts.sync` does, on a collection that is open already."""
    run = await parts.run_of(record, invocation, collection, DeleteGuard())
    await run.execute(FolderTreeSource(FolderSettings("folder", folder)))
    assert run.counts.failed == 0


async def test_one_document_that_is_refused_while_others_are_taken_fails_alone(parts, folder, target, proxy):
    def poison(_method: str, path: str, body: bytes) -> int | None:
        return (
            400 if path.endswith("/add") and any("thing 4" in text for text in json.loads(body)["documents"]) else None
        )

    proxy.fails = poison
    run = await parts.sync(folder, target)
    assert (run.counts.indexed, run.counts.failed) == (5, 1)
    assert "Chroma refuses" in run.failures[0]
    assert not any("thing 4" in row.document for row in await parts.chroma.get(target))
    assert await parts.chroma.get(target, ["syncd-probe"]) == []


async def test_a_new_version_that_is_refused_while_the_server_answers_now_and_then_is_not_believed(
    parts, folder, target, proxy
):
    await parts.sync(folder, target)
    write(folder, CHANGED)
    refused = 0

    def now_and_then(_method: str, path: str, body: bytes) -> int | None:
        nonlocal refused
        if path.endswith("/add") and "syncd-probe" not in json.loads(body)["ids"] and refused < 2:
            refused += 1
            return 400
        return None

    proxy.fails = now_and_then
    run = await parts.sync(folder, target)
    assert run.counts.failed == 0
    assert refused == 2
    assert await states(parts) == {("indexed", "")}


async def test_a_known_collection_that_cannot_be_opened_for_a_while_fails_no_run(parts, folder, target, proxy):
    await parts.sync(folder, target)
    proxy.fails = everything
    with pytest.raises(RetryableError, match="refuses every request"):
        await parts.sync(folder, target)


async def test_one_collection_that_refuses_every_write_keeps_no_other_from_going_on(parts, folder, target, proxy):
    other = Target(target.database, target.collection + "-2")
    await parts.sync(folder, target)
    await parts.sync(folder, other)
    ident = await parts.chroma.collection_id(target)
    write(folder, CHANGED)

    def of_one(_method: str, path: str, _body: bytes) -> int | None:
        return 400 if ident in path and path.endswith(WRITES) else None

    proxy.fails = of_one
    record = await parts.source(folder)
    collection = await parts.index.open(target, record.embedding)
    invocation = await parts.store.invocations.create(record.id, target, "watch")
    with pytest.raises(RetryableError, match="refuses every write"):
        await run_over(parts, folder, record, invocation, collection)
    with pytest.raises(RetryableError, match="refuses every write"):
        await parts.index.open(target, record.embedding)
    await parts.store.invocations.settle(invocation.id, "complete", Counts())
    run = await parts.sync(folder, other)
    assert run.counts.indexed == len(FILES)
    proxy.fails = lambda *_: None
    with anyio.fail_after(60):
        while parts.index.status() is not None:  # noqa: ASYNC110 - it is for people, and wakes nobody
            await anyio.sleep(0.02)
    found = {row.document for row in await parts.chroma.get(target)}
    assert found == {row.document for row in await parts.chroma.get(other)}
