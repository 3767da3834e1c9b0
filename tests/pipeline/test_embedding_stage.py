"""Documents between parsing and the vector store: found by words at once, acknowledged last, and nothing of them done twice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from chromadb.errors import ChromaError

from syncd.errors import PermanentError, RetryableError
from syncd.model import Counts, DocumentState, Embedding, EmbeddingTask, Origin, State, Target
from syncd.pipeline.effects import WantedVectors
from syncd.pipeline.embedding_queue import REQUEST_SIZE, REQUESTS
from syncd.pipeline.embedding_stage import EmbeddingStage
from syncd.pipeline.result import Result
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.runtime.mailbox import settled_reply
from syncd.search import Query, Search
from syncd.sources.folder.body import FileBody
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.store.changes import Urgency
from syncd.sync.deletes import DeleteGuard
from tests.asking import asked
from tests.daemon import held
from tests.models import in_its_own_task
from tests.pipeline.parts import HashEmbedder, Parts, running, write
from tests.store.test_prepared import replacement

FILES = {
    "lamp.md": "# Lamps\n\nThe keeper lights the lamp at dusk.\n",
    "fox.md": "# Foxes\n\nFoxes run at night.\n",
}


class Gate:
    """Holds an embedder's requests back until it is opened."""

    def __init__(self, embedder: HashEmbedder) -> None:
        self.asked: list[list[str]] = []
        self._embedder = embedder
        self._open = anyio.Event()

    async def embed(self, texts, role, task=None, *, urgent=False):
        self.asked.append(list(texts))
        if role == "document":
            await self._open.wait()
        return await HashEmbedder.embed(self._embedder, texts, role, task)

    def open(self) -> None:
        self._open.set()


def gated(parts: Parts) -> Gate:
    gate = Gate(parts.embedder)
    parts.embedder.embed = gate.embed
    return gate


async def until(is_so: Callable) -> None:
    """Wait until something asked of the store is so."""
    with anyio.fail_after(120):
        while True:
            if await is_so():
                return
            await anyio.sleep(0.01)


@asynccontextmanager
async def syncing(parts, folder, target, **request) -> AsyncIterator[anyio.Event]:
    """Sync the folder meanwhile; yield what is set when the run is over. What is left at the end is cancelled."""
    over = anyio.Event()

    async def sync() -> None:
        await parts.sync(folder, target, **request)
        over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(sync)
        yield over
        group.cancel_scope.cancel()


async def prepared(parts, count: int) -> None:
    """Wait until so many documents are prepared and not written."""

    async def are_there() -> bool:
        return (await parts.store.prepared.backlog()).documents == count

    await until(are_there)


def searching(parts) -> Search:
    async def embedder(_name):
        return parts.embedder

    return Search(parts.store, parts.chroma, embedder, SparseModels(), parts.index.damaged)


async def words(parts, target, text: str):
    return (await searching(parts).search(Query(target, text, "sparse"))).hits


async def test_a_new_document_is_found_by_words_before_it_has_a_vector_and_says_so(parts, folder, target):
    gate = gated(parts)
    async with syncing(parts, folder, target) as over:
        await prepared(parts, 2)
        (hit,) = await words(parts, target, "foxes")
        assert (hit.metadata["key"], hit.stage, hit.recorded_at) == ("fox.md", "prepared", None)
        gate.open()
        await over.wait()
    (hit,) = await words(parts, target, "foxes")
    assert (hit.metadata["key"], hit.stage) == ("fox.md", "written")
    assert (await parts.store.prepared.backlog()).documents == 0


async def test_a_search_says_how_much_of_the_collection_has_vectors(parts, folder, target):
    await parts.sync(folder, target)
    write(folder, {"oil.md": "# Oil\n\nEvery lamp needs oil.\n", "dusk.md": "# Dusk\n\nIt gets dark.\n"})
    gated(parts)
    async with syncing(parts, folder, target):
        await prepared(parts, 2)
        answer = await searching(parts).search(Query(target, "oil", "hybrid"))
        assert answer.coverage == 0.5
        assert answer.notices == ["semantic ranking covers 50% so far: the rest is being embedded"]
        assert answer.hits[0].metadata["key"] == "oil.md"


async def test_of_a_changed_document_the_old_version_is_found_until_the_new_one_is_written(parts, folder, target):
    await parts.sync(folder, target)
    write(folder, {"fox.md": "# Wolves\n\nWolves howl.\n"})
    gate = gated(parts)
    async with syncing(parts, folder, target) as over:
        await prepared(parts, 1)
        assert [hit.stage for hit in await words(parts, target, "night")] == ["written"]
        assert not await words(parts, target, "howl")
        gate.open()
        await over.wait()
    assert not await words(parts, target, "night")
    assert [hit.stage for hit in await words(parts, target, "howl")] == ["written"]


async def is_acknowledged_early(parts, folder, target) -> bool:
    """Return whether a run is over before its documents are written."""
    gated(parts)
    async with syncing(parts, folder, target) as over:
        await prepared(parts, 2)
        with anyio.move_on_after(1.0):
            await over.wait()
        return over.is_set()


async def test_a_run_is_not_over_before_its_documents_are_written(parts, folder, target):
    assert not await is_acknowledged_early(parts, folder, target)


async def test_replying_after_preparing_is_caught(parts, folder, target, monkeypatch):
    async def at_once(self, change, embedder, urgency, waiter):
        await bring(self, change, embedder, urgency, waiter)
        return settled_reply(waiter[1])

    bring = EmbeddingStage.bring
    monkeypatch.setattr(EmbeddingStage, "bring", at_once)
    assert await is_acknowledged_early(parts, folder, target)


async def test_after_a_death_nothing_prepared_is_fetched_or_embedded_twice(
    tmp_path, folder, target, chroma_server, monkeypatch
):
    opened: list[str] = []
    open_body = FileBody.open
    monkeypatch.setattr(FileBody, "open", lambda self: opened.append(self) or open_body(self))
    many = {f"{number}.md": f"# {number}\n\nText {number} of its own.\n" for number in range(REQUESTS)}
    write(folder, many)
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:
        gated(parts)
        async with syncing(parts, folder, target):
            await prepared(parts, len(many) + len(FILES))
    first = len(opened)
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:
        await parts.sync(folder, target)
        assert len(opened) == first == len(many) + len(FILES)
        assert len(parts.embedder.embedded) == len(set(parts.embedder.embedded)) == len(many) + len(FILES)
    assert len(held(chroma_server.host, chroma_server.port, target.collection).rows) == len(many) + len(FILES)


async def test_what_has_its_vectors_is_written_after_a_death_without_anybody_asking(
    tmp_path, folder, target, chroma_server
):
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:

        async def away(_change):
            raise RetryableError("nobody is there")

        parts.stage._apply = away
        with pytest.raises(RetryableError):
            await parts.sync(folder, target)

        async def are_embedded() -> bool:
            return (await parts.store.prepared.backlog()).embedded == 2

        await until(are_embedded)
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:

        async def are_written() -> bool:
            try:
                return len(held(chroma_server.host, chroma_server.port, target.collection).rows) == 2
            except ChromaError:  # which has the rows and, for a moment, no index for them
                return False

        await until(are_written)
        assert not parts.embedder.embedded


async def test_a_text_that_cannot_be_embedded_fails_its_document_alone(parts, folder, target):
    embed = parts.embedder.embed

    async def choosy(texts, role, task=None, *, urgent=False):
        if any("Foxes" in text for text in texts):
            raise PermanentError("foxes are not embedded")
        return await embed(texts, role, task)

    parts.embedder.embed = choosy
    run = await parts.sync(folder, target)
    assert (run.counts.indexed, run.counts.failed) == (1, 1)
    assert run.failures == ["foxes are not embedded"]
    assert not await words(parts, target, "foxes")
    assert (await parts.store.prepared.backlog()).documents == 0


async def test_texts_are_embedded_for_the_task_that_their_collection_has_now(parts, folder, target):
    tasks = []
    embed = parts.embedder.embed

    async def embed_for(texts, role, task=None, *, urgent=False):
        tasks.append(task)
        return await embed(texts, role, task, urgent=urgent)

    parts.embedder.embed = embed_for
    await parts.sync(folder, target)
    (purged,) = await parts.store.collections.all()
    await parts.store.database.write(lambda c: c.execute("DELETE FROM collections"))
    task = EmbeddingTask("search")
    again = await parts.store.collections.open(target, Embedding("hash", task))
    assert again.id == purged.id
    change = replacement(again.id, "a.txt", "one")
    await parts.stage.bring(change, parts.embedder, Urgency.BACKFILL, (1, Result("a.txt", DocumentState.INDEXED)))

    async def is_embedded() -> bool:
        return "one" in parts.embedder.embedded

    await until(is_embedded)
    assert set(tasks[:-1]) == {None}
    assert tasks[-1] == task


async def test_a_queue_may_see_a_text_before_whoever_brought_it_goes_on(parts, folder, target):
    await parts.sync(folder, target)
    put = parts.store.prepared.put

    async def put_and_be_overtaken(change, model, urgency):
        document = await put(change, model, urgency)
        for queue in parts.stage._queues.values():
            queue.wake()
        await until(is_embedded)
        return document

    async def is_embedded() -> bool:
        return "one" in parts.embedder.embedded

    parts.stage._prepared.put = put_and_be_overtaken
    other = await parts.store.collections.open(Target(target.database, "other"), Embedding("hash"))
    change = replacement(other.id, "a.txt", "one")
    await parts.stage.bring(change, parts.embedder, Urgency.BACKFILL, (1, Result("a.txt", DocumentState.INDEXED)))
    assert parts.stage.trouble() is None


async def test_an_urgent_document_overtakes_a_backfill_that_fills_every_request(parts, folder, target):
    many = {f"{n}.md": f"# Number {n}\n\nText {n} of its own.\n" for n in range(REQUEST_SIZE * (REQUESTS + 2))}
    write(folder, many)
    gate = gated(parts)

    async def is_full() -> bool:
        return len(gate.asked) == REQUESTS

    async def is_asked() -> bool:
        return any("Foxes" in text for texts in gate.asked for text in texts)

    async with syncing(parts, folder, target):
        await prepared(parts, len(many) + len(FILES))
        await until(is_full)
        assert not await is_asked()
        (record,) = await parts.store.collections.all()
        document = await parts.store.prepared.get(record.id, (await parts.source(folder)).id, "fox.md")
        wanted = WantedVectors(parts.embedder, 99, Urgency.OBJECT, 0, Result("fox.md", DocumentState.INDEXED))
        await parts.ingester.effects(False).join(document, wanted)
        await until(is_asked)
    assert len(gate.asked) == REQUESTS + 1


async def test_deleting_a_document_takes_back_what_is_on_its_way(parts, folder, target):
    gate = gated(parts)
    async with syncing(parts, folder, target):
        await prepared(parts, 2)
        (invocation,) = await parts.store.invocations.due(1)
    await parts.store.invocations.settle(invocation.id, State.FAILED, Counts(), "it was given up")
    write(folder, {"fox.md": None})
    async with syncing(parts, folder, target) as over:
        gate.open()
        await over.wait()
    assert not await words(parts, target, "foxes")
    assert [hit.stage for hit in await words(parts, target, "lamp")] == ["written"]


async def test_what_a_cancelled_run_has_on_its_way_is_forgotten(parts, folder, target):
    gated(parts)
    async with syncing(parts, folder, target):
        await prepared(parts, 2)
        (invocation,) = await parts.store.invocations.due(1)
        await parts.ingester.drop(await parts.store.progress.run_number(invocation.id))
        assert (await parts.store.prepared.backlog()).documents == 0


def counting(parts) -> None:
    """Give the embedder its tokenizer."""

    class Counting(type(parts.embedder)):
        async def count_tokens(self, texts, task=None):
            if any("Foxes" in text for text in texts) and len(texts) > 1:
                raise PermanentError("one of them has no tokens")
            return [len(text.split()) for text in texts]

    parts.embedder.__class__ = Counting


async def test_what_is_left_to_embed_is_counted_before_it_is_embedded_and_is_what_it_costs(parts, folder, target):
    counting(parts)
    gate = gated(parts)

    async def is_counted() -> bool:
        backlog = await parts.store.prepared.backlog()
        return backlog.documents == 2 and not backlog.uncounted_bytes

    async with syncing(parts, folder, target) as over:
        await until(is_counted)
        left = (await parts.store.prepared.backlog()).wanted_tokens
        gate.open()
        await over.wait()
    assert sum(len(text.split()) for text in parts.embedder.embedded) == left > 0


async def test_a_backfill_that_has_filled_its_share_of_the_disk_does_not_hold_up_a_change(parts, folder, target):
    await parts.sync(folder, target)

    async def none_for_backfills(urgency):
        return urgency > Urgency.BACKFILL

    parts.ingester.effects(False).has_room = none_for_backfills
    other = Target("default_database", f"{target.collection}-other")

    async def is_begun() -> bool:
        return bool(await parts.store.invocations.due(1))

    async with syncing(parts, folder, other) as over:
        await until(is_begun)
        write(folder, {"fox.md": "# Wolves\n\nWolves howl.\n"})
        source = await parts.source(folder)
        change = await parts.store.invocations.create(source.id, target, Origin.WATCH, asked())
        run = await parts.begin(source, change, DeleteGuard())
        await run.execute(FolderTreeSource(FolderSettings("folder", folder)))
        assert [hit.stage for hit in await words(parts, target, "howl")] == ["written"]
        assert not over.is_set()
