"""What a finished run does to its collection."""

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

import anyio
import pytest

from syncd.api.views import job_view
from syncd.errors import PermanentError, RetryableError, Skipped
from syncd.index.changes import ChangePlaces
from syncd.model import Checkpoint, Document, Origin, State, Target
from syncd.sources.registry import TYPES
from syncd.sources.s3.settings import AutoSync
from syncd.sync.runner import Attempt, Runner
from tests.pipeline.parts import CHUNKING, MODEL
from tests.sync.syncing import HASTY, SETTINGS, Cut, Fixed, Text, away, created, document, settled, syncing


async def test_a_run_that_saw_a_part_says_so_deletes_nothing_and_leaves_the_collection_open(parts, fresh_name):
    part = Checkpoint("1", absent_are_gone=True, incomplete="the sitemap was cut")
    first = await created(parts, Origin.API, fresh_name, "web_scrape")
    async with syncing(parts, Cut(part, Checkpoint("2", absent_are_gone=True))) as syncer:
        ended = await settled(parts, first)
        assert (ended.state, ended.error) == (State.COMPLETE, "the sitemap was cut")
        assert job_view(TYPES, ended, None)["incomplete"] == "the sitemap was cut"
        assert "finished_ingest" not in (await parts.chroma.metadata(first.target) or {})
        second = await parts.store.invocations.create(first.source_id, first.target, Origin.API)
        syncer.wake()
        ended = await settled(parts, second)
    assert (ended.error, job_view(TYPES, ended, None)["incomplete"]) == (None, None)
    assert (await parts.chroma.metadata(first.target))["finished_ingest"] is True


async def test_a_run_in_which_nothing_could_be_indexed_fails_leaves_the_collection_open_and_is_begun_anew(
    parts, fresh_name
):
    class Reading(Fixed):
        cursors: ClassVar[list[str | None]] = []

        async def changes(self, run):
            self.cursors.append(run.cursor)
            async for item in super().changes(run):
                yield item

    contents = {1: PermanentError("it is broken"), 2: Skipped("it is binary"), 3: "Words at last.\n"}

    def read(number: int) -> Document:
        return Document("a.txt", str(number), Text(contents[number]), "a")

    invocation = await created(parts, Origin.API, fresh_name, "web_scrape")
    async with syncing(parts, Reading(read)) as syncer:
        for told in ("nothing could be indexed: 1 failed, 0 were skipped; it is broken", "0 failed, 1 were skipped"):
            ended = await settled(parts, invocation)
            assert ended.state is State.FAILED
            assert told in ended.error
            assert "finished_ingest" not in (await parts.chroma.metadata(invocation.target) or {})
            invocation = await parts.store.invocations.create(invocation.source_id, invocation.target, Origin.API)
            syncer.wake()
        assert (await settled(parts, invocation)).state is State.COMPLETE
    assert Reading.cursors == [None, None, None]
    assert (await parts.chroma.metadata(invocation.target))["finished_ingest"] is True


async def test_a_run_that_only_meets_broken_documents_is_complete_where_others_of_the_source_are_indexed(
    parts, fresh_name
):
    texts = [document("Words.\n"), Document("b.txt", "1", Text(PermanentError("it is broken")), "b")]
    invocation = await created(parts, Origin.WATCH, fresh_name)
    async with syncing(parts, Fixed(lambda number: texts[number - 1])) as syncer:
        assert (await settled(parts, invocation)).state is State.COMPLETE
        again = await parts.store.invocations.create(invocation.source_id, invocation.target, Origin.WATCH)
        syncer.wake()
        assert (await settled(parts, again)).state is State.COMPLETE


@pytest.mark.parametrize("end", [Checkpoint("half", is_mark=True), Checkpoint("all", absent_are_gone=True)])
async def test_an_attempt_that_is_cut_off_before_anything_could_be_indexed_is_begun_anew_and_comes_to_the_same_end(
    parts, fresh_name, end
):
    class CutOff:
        cursors: ClassVar[list[str | None]] = []

        async def changes(self, run):
            self.cursors.append(run.cursor)
            if run.cursor is None:
                yield document(PermanentError("it is broken"))
                yield end
            if len(self.cursors) == 1:
                raise RetryableError("cut off")
            yield Checkpoint("all", absent_are_gone=True)

    CutOff.cursors.clear()
    invocation = await created(parts, Origin.API, fresh_name)
    async with syncing(parts, CutOff()):
        ended = await settled(parts, invocation)
    assert CutOff.cursors == [None, None]
    assert (ended.state, ended.counts.failed) == (State.FAILED, 1)
    assert "nothing could be indexed: 1 failed" in ended.error


async def test_a_source_that_goes_to_another_collection_leaves_the_one_before_once_that_is_filled(parts, fresh_name):
    def read(number: int) -> Document:
        return away(number) if number == 2 else document("Words.\n")

    old, new = (Target("default_database", f"{fresh_name}-{name}") for name in ("old", "new"))
    kept = replace(SETTINGS, auto_sync=AutoSync.DIRECT)
    first = await created(
        parts, Origin.SCHEDULE, old.collection, settings=replace(kept, collection_name=old.collection)
    )
    source = Fixed(read)
    async with syncing(parts, source) as syncer:
        await settled(parts, first)
        assert await held(parts, first.source_id, old.collection) == ["a.txt"]
        record, moved = await parts.store.sources.get(first.source_id), replace(kept, collection_name=new.collection)
        await parts.store.sources.replace(record, new.database, moved, MODEL, CHUNKING)
        # What a watch asks for that has not heard of it yet.
        await parts.store.invocations.create(first.source_id, old, Origin.WATCH)
        syncer.wake()
        for invocation in await parts.store.invocations.list():
            assert (await settled(parts, invocation)).state is State.COMPLETE
    left, filled = [await held(parts, first.source_id, target.collection) for target in (old, new)]
    assert (left, filled, source.runs) == ([], ["a.txt"], 3)


async def test_a_source_that_is_removed_before_it_could_leave_its_collection_leaves_it_when_it_is_back(
    parts, fresh_name
):
    store, names = parts.store, [f"{fresh_name}-{number}" for number in range(3)]
    kept = [replace(SETTINGS, auto_sync=AutoSync.DIRECT, collection_name=name) for name in names]
    first = await created(parts, Origin.SCHEDULE, names[0], settings=kept[0])
    async with syncing(parts, Fixed(lambda _: document("Words.\n"))) as syncer:
        await settled(parts, first)
        await store.sources.replace(
            await store.sources.get(first.source_id), "default_database", kept[1], MODEL, CHUNKING
        )
        await store.sources.delete(first.source_id)
        await store.sources.create("s3", "default_database", kept[2], MODEL, CHUNKING)
        syncer.wake()
        for invocation in await store.invocations.list():
            if invocation.state is not State.CANCELLED:
                await settled(parts, invocation)
    assert [await held(parts, first.source_id, name) for name in names] == [[], [], ["a.txt"]]


async def held(parts, source_id: str, name: str) -> list[str]:
    """Return the keys of a source's documents in a collection."""
    collection = await parts.store.collections.find(Target("default_database", name))
    return [key async for key in parts.store.documents.keys(collection.id, source_id)] if collection else []


async def test_a_run_begins_anew_if_how_its_documents_are_made_changes_while_it_opens_its_source(parts, fresh_name):
    invocation = await created(parts, Origin.WATCH, fresh_name)

    async def opened(record):
        finer = replace(record.chunking, target_size_bytes=100)
        await parts.store.sources.replace(record, record.database, record.settings, record.embedding, finer)
        return source

    source = Fixed(lambda _: document("Words.\n"))
    runner = Runner(parts.store, parts.chroma, parts.index, parts.ingester, opened, HASTY)
    with pytest.raises(RetryableError, match="changed while it began"):
        await runner.execute(Attempt(invocation, anyio.CancelScope()))
    assert source.runs == 0


@asynccontextmanager
async def switching(parts, name: str, monkeypatch):
    """Yield a running syncer, a shadow that is to take the place of a filled collection and does not yet, and what is set once a run
    waits for that.
    """
    monkeypatch.setattr("syncd.sync.runner.SWITCHED_EVERY_S", 0.01)
    first = await created(parts, Origin.API, name)
    async with syncing(parts, Fixed(lambda _: document("Words.\n"))) as syncer:
        await settled(parts, first)
        source = await parts.store.sources.get(first.source_id)
        live = await parts.store.collections.find(first.target)
        await parts.store.shadows.begin(live.id, first.target, MODEL, [])
        (shadow,) = await parts.store.shadows.all()
        await parts.index.open(shadow.target, MODEL)
        assert await parts.store.shadows.decide(shadow, [source.id])
        is_switching, waits = parts.store.shadows.is_switching, anyio.Event()

        async def looked(collection_id: int) -> bool:
            waits.set()
            return await is_switching(collection_id)

        monkeypatch.setattr(parts.store.shadows, "is_switching", looked)
        yield syncer, shadow, source, waits


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_run_waits_while_its_collection_is_changing_places(parts, fresh_name, monkeypatch, attempts):
    """What it brought would leave with the collection that had the name. One into the other begins again under the name that it gets."""
    async with switching(parts, fresh_name, monkeypatch) as (syncer, shadow, source, waits):
        asked = shadow.live if attempts == 1 else shadow.target
        run = await parts.store.invocations.create(source.id, asked, Origin.API)
        syncer.wake()
        with anyio.fail_after(60):
            await waits.wait()
            await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
        ended = await settled(parts, run)
        assert (ended.state, ended.target, ended.attempts) == (State.COMPLETE, shadow.live, attempts)
        assert await held(parts, source.id, fresh_name) == ["a.txt"]
        assert await parts.store.collections.find(shadow.target) is None


async def test_a_run_is_put_off_and_not_given_up_however_long_a_change_of_places_takes(parts, fresh_name, monkeypatch):
    monkeypatch.setattr("syncd.sync.runner.SWITCH_PATIENCE_S", 0.05)
    async with switching(parts, fresh_name, monkeypatch) as (syncer, shadow, source, _):
        run = await parts.store.invocations.create(source.id, shadow.live, Origin.API)
        syncer.wake()
        with anyio.fail_after(60):
            while (await parts.store.invocations.get(run.id)).attempts < HASTY.run_attempts + 2:  # noqa: ASYNC110 - SQLite sets no event
                await anyio.sleep(0.01)
            await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
        assert (await settled(parts, run)).state is State.COMPLETE


async def test_a_run_that_waits_for_a_change_of_places_holds_up_no_stop(parts, fresh_name, monkeypatch):
    async with switching(parts, fresh_name, monkeypatch) as (syncer, shadow, source, waits):
        run = await parts.store.invocations.create(source.id, shadow.live, Origin.API)
        syncer.wake()
        with anyio.fail_after(60):
            await waits.wait()
            await syncer.drain()
        run = await parts.store.invocations.get(run.id)
        assert (run.state, run.attempts) == (State.PROCESSING, 1)
