"""A collection that was built beside another one takes its place in the vector store, whatever dies meanwhile."""

from dataclasses import replace

import anyio
import numpy as np
import pytest

from syncd.errors import ConflictError, NotFoundError, RetryableError
from syncd.index.changes import ChangePlaces, CheckCollection, CheckPlaces, DropCollection
from syncd.index.verify import Verifier
from syncd.model import NOTHING, Chunking, Origin, Rows, SourceWatch, State, Target
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import Query, Search
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.store.changes import Urgency
from syncd.store.shadow_rows import ShadowState
from syncd.store.shadows import Shadows
from syncd.sync.deletes import DeleteGuard
from tests.daemon import client_at
from tests.models import in_its_own_task
from tests.pipeline.parts import CHUNKING, MODEL, running, write
from tests.store.test_prepared import replacement

TEXT = "One line of text that stands here.\nAnother line of it, which is longer.\nA third one, to fill it up.\n"
FILES = {"a.txt": TEXT, "b.txt": "Some words.\n"}
FINER = Chunking(type="lines", max_size_bytes=120, max_lines=1)


async def built(parts, folder, target: Target):
    """Sync the folder, which its source keeps in step, and build its collection anew in finer chunks beside; return its source and the
    shadow.
    """
    watch = SourceWatch(target_collection_name=target.collection)
    settings = FolderSourceSettings(path=str(folder), collection_name=target.collection, watch=watch)
    if await parts.store.sources.by_name("folder") is None:
        await parts.store.sources.create("folder", target.database, settings, MODEL, CHUNKING, "folder")
    await parts.sync(folder, target)
    source = await parts.source(folder)
    live = await parts.store.collections.find(target)
    finer = replace(source, chunking=FINER)
    await parts.store.shadows.begin(live.id, target, MODEL, [finer])
    shadow = next(each for each in await parts.store.shadows.all() if each.live_id == live.id)
    invocation = await parts.invocation(finer, shadow.target)
    assert invocation.target == shadow.target
    await filled(parts, folder, finer, invocation)
    return finer, shadow


async def filled(parts, folder, source, invocation) -> None:
    run = await parts.begin(source, invocation, DeleteGuard())
    await run.execute(FolderTreeSource(FolderSettings("folder", folder)))
    await parts.store.invocations.settle(invocation.id, "complete", run.counts)


async def documents(parts, target: Target) -> set[str]:
    parts.chroma.forget(target)
    return {row.document for row in await parts.chroma.get(target)}


async def test_it_answers_under_the_name_and_the_former_one_is_kept_and_can_come_back(parts, folder, target):
    source, shadow = await built(parts, folder, target)
    before, after = await documents(parts, target), await documents(parts, shadow.target)
    assert before != after
    recorded = "SELECT key, recorded_at FROM documents WHERE collection_id = ? ORDER BY key"

    async def recorded_at(collection_id: int):
        return await parts.store.database.read(lambda c: c.execute(recorded, (collection_id,)).fetchall())

    assert await recorded_at(shadow.collection_id) != await recorded_at(shadow.live_id)
    await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    assert await recorded_at(shadow.collection_id) == await recorded_at(shadow.live_id)
    (former,) = await parts.store.shadows.all()
    assert (former.state, former.live, former.collection_id) == (ShadowState.FORMER, target, shadow.live_id)
    assert await documents(parts, target) == after
    assert await documents(parts, former.target) == before
    # The run that was asked for at the change brings what is new to the one that answers, and to no other.
    write(folder, {"b.txt": None, "c.txt": "Other words.\n"})
    await filled(parts, folder, source, await parts.invocation(source, target))
    assert "Other words.\n" in await documents(parts, target)
    assert await documents(parts, former.target) == before
    verified = await Verifier(parts.store, parts.chroma, parts.index).verify(target)
    assert (verified.missing, verified.different, verified.extra) == (0, 0, 0)

    await parts.index.mailbox.ask(ChangePlaces(former.collection_id))
    assert await documents(parts, target) == before
    (later,) = await parts.store.shadows.all()
    await parts.store.shadows.discard(later, decide=False)
    while await parts.store.shadows.remove_some(later.collection_id):
        pass
    await parts.index.mailbox.ask(DropCollection(later.collection_id))
    assert await parts.store.shadows.all() == []
    assert await parts.chroma.collection_id(later.target) is None
    assert [
        one.target for one in await parts.store.collections.all() if target.collection in one.target.collection
    ] == [target]
    with pytest.raises(NotFoundError, match="no shadow"):
        await parts.index.mailbox.ask(ChangePlaces(later.collection_id))


@pytest.mark.parametrize("renamed", [0, 1, 2])
async def test_killed_between_any_two_steps_the_next_start_ends_what_was_decided(
    chroma_server, folder, target, tmp_path, renamed
):
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:
        source, shadow = await built(parts, folder, target)
        before, after = await documents(parts, target), await documents(parts, shadow.target)
        assert await parts.store.shadows.decide(shadow, [source.id])
        (decided,) = await parts.store.shadows.all()
        ids = [(await parts.store.collections.by_id(one)).chroma_id for one in (shadow.live_id, shadow.collection_id)]
        names = [Target(target.database, decided.former_name), target]
        for name, chroma_id in list(zip(names, ids, strict=True))[:renamed]:
            await parts.chroma.rename(name, chroma_id)
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:
        (former,) = await parts.store.shadows.all()
        assert former.target == names[0]
        assert await documents(parts, target) == after
        assert await documents(parts, former.target) == before
        assert await parts.chroma.collection_id(shadow.target) is None
        for place in (target, former.target):
            verified = await Verifier(parts.store, parts.chroma, parts.index).verify(place)
            assert (verified.missing, verified.different, verified.extra) == (0, 0, 0)
        assert parts.index.status() is None


async def test_what_cannot_be_recorded_at_once_is_gone_on_with_and_neither_is_filled_meanwhile(
    parts, folder, target, monkeypatch
):
    _, shadow = await built(parts, folder, target)
    before, after = await documents(parts, target), await documents(parts, shadow.target)
    switched = Shadows.switched

    async def full(_shadows, *_):
        raise RetryableError("the disk is full")

    monkeypatch.setattr(Shadows, "switched", full)
    with pytest.raises(RetryableError, match="disk is full"):
        await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    asked = [await parts.index.mailbox.put(CheckCollection(one)) for one in (shadow.live_id, shadow.collection_id)]
    await until_held(parts)
    monkeypatch.setattr(Shadows, "switched", switched)
    await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    for reply in asked:
        await reply
    (former,) = await parts.store.shadows.all()
    assert former.state is ShadowState.FORMER
    assert await documents(parts, target) == after
    assert await documents(parts, former.target) == before
    assert parts.index.status() is None


async def until_held(parts) -> None:
    """Wait until health says that collections are changing places."""
    with anyio.fail_after(60):
        while "is changing places" not in (parts.index.status() or ""):  # noqa: ASYNC110 - nobody is told
            await anyio.sleep(0.01)


async def test_one_change_of_places_that_cannot_be_carried_out_holds_up_no_other(parts, folder, target, monkeypatch):
    source, stuck = await built(parts, folder, target)
    assert await parts.store.shadows.decide(stuck, [source.id])
    _, shadow = await built(parts, folder, Target(target.database, f"{target.collection}-other"))
    rename = parts.chroma.rename

    async def rename_all_but(place, chroma_id):
        if place.collection.startswith(f"{target.collection}."):
            raise ConflictError("there is another collection of this name")
        await rename(place, chroma_id)

    monkeypatch.setattr(parts.chroma, "rename", rename_all_but)
    with pytest.raises(ConflictError):
        await parts.index.mailbox.ask(ChangePlaces(stuck.collection_id))
    await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    states = {each.live.collection: each.state for each in await parts.store.shadows.all()}
    assert states == {target.collection: ShadowState.SWITCHING, shadow.live.collection: ShadowState.FORMER}


@pytest.mark.parametrize("is_conflict", [False, True])
async def test_a_collection_that_another_client_makes_meanwhile_is_filled(
    parts, folder, target, chroma_server, monkeypatch, is_conflict
):
    """Chroma 1.5.9 answers 500 then; Qdrant's collections say what it is."""
    _, shadow = await built(parts, folder, target)
    after = await documents(parts, shadow.target)
    rename, renamed = parts.chroma.rename, []

    async def rename_and_be_overtaken(place, chroma_id):
        if renamed and is_conflict:
            raise ConflictError("there is another collection of this name")
        await rename(place, chroma_id)
        if not renamed:
            renamed.append(place)
            client = client_at(chroma_server.host, chroma_server.port)
            client.create_collection(target.collection, embedding_function=None)

    monkeypatch.setattr(parts.chroma, "rename", rename_and_be_overtaken)
    await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    await parts.index.look(shadow.collection_id)
    assert await documents(parts, target) == after
    (former,) = await parts.store.shadows.all()
    assert (former.state, former.target) == (ShadowState.FORMER, renamed[0])


async def test_going_back_ends_what_is_being_built_and_the_index_outlives_what_comes_late(parts, folder, target):
    source, first = await built(parts, folder, target)
    await parts.index.mailbox.ask(ChangePlaces(first.collection_id))
    await parts.store.shadows.begin(first.collection_id, target, MODEL, [source])
    building = next(each for each in await parts.store.shadows.all() if each.state is ShadowState.BUILDING)
    (run,) = [each for each in await parts.store.invocations.list() if each.target == building.target]
    await parts.store.invocations.start(run.id)
    beside = await parts.index.open(building.target, MODEL)
    waiting = await parts.store.prepared.put(replacement(beside.id, "a.txt", "one"), "hash", Urgency.BACKFILL)
    await parts.index.mailbox.ask(ChangePlaces(first.live_id))
    assert (await parts.store.invocations.get(run.id)).state is State.CANCELLED
    assert (await parts.store.prepared.backlog()).documents == 0
    await parts.index.mailbox.ask(DropCollection(beside.id))
    await parts.index.apply(waiting.promotion)
    await parts.index.flush(beside.id, ["a.txt-0"])
    with pytest.raises(NotFoundError, match="discarded"):
        await parts.store.collections.by_id(beside.id)


async def uploaded(parts, target: Target, version: str = "1"):
    """Put a document into the collection as an upload does, whose source keeps nothing in step; return the run that brought it."""
    uploads = await parts.store.sources.by_name("uploads")
    if uploads is None:
        settings = FolderSourceSettings(path="/uploads")
        uploads = await parts.store.sources.create("folder", target.database, settings, MODEL, CHUNKING, "uploads")
    run = await parts.store.invocations.create(uploads.id, target, Origin.API)
    await parts.store.invocations.start(run.id)
    record = await parts.index.open(target, MODEL)
    await parts.index.apply(replacement(record.id, "up.txt", source=uploads.id, version=version))
    return run


async def test_an_upload_that_comes_before_the_decision_keeps_the_one_that_answers_in_its_place(parts, folder, target):
    _, shadow = await built(parts, folder, target)
    run = await uploaded(parts, target)
    with pytest.raises(ConflictError, match=r"a run is bringing documents into .* try again when it is over"):
        await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    await parts.store.invocations.settle(run.id, "complete", run.counts)
    with pytest.raises(ConflictError, match=r"\(1, such as 'up.txt'\)"):
        await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    (still,) = await parts.store.shadows.all()
    assert still.state is ShadowState.BUILDING


async def test_an_upload_that_waits_for_its_vectors_counts(parts, folder, target):
    _, shadow = await built(parts, folder, target)
    upload = replacement(shadow.live_id, "up.txt", "words", source="the-upload-source")
    await parts.store.prepared.put(upload, "hash", Urgency.OBJECT)
    with pytest.raises(ConflictError, match=r"such as 'up.txt'"):
        await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))


async def test_nothing_goes_back_to_a_collection_that_lacks_an_upload_or_has_another_version_of_it(
    parts, folder, target
):
    _, shadow = await built(parts, folder, target)
    await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    (former,) = await parts.store.shadows.all()
    for place, version in ((former.target, "1"), (target, "2")):
        run = await uploaded(parts, place, version)
        await parts.store.invocations.settle(run.id, "complete", run.counts)
    with pytest.raises(ConflictError, match="delete them, and upload them again afterwards"):
        await parts.index.mailbox.ask(ChangePlaces(former.collection_id))
    run = await uploaded(parts, former.target, "2")
    await parts.store.invocations.settle(run.id, "complete", run.counts)
    await parts.index.mailbox.ask(ChangePlaces(former.collection_id))
    assert (await parts.store.collections.find(target)).id == former.collection_id


async def test_nothing_takes_the_name_from_one_that_holds_rows_of_somebodys_own(parts, folder, target):
    _, shadow = await built(parts, folder, target)
    own = Rows(["own"], [{"mine": True}], ["my own note"], [np.eye(1, 8, dtype=np.float32)[0]])
    await parts.chroma.write(target, [], own, NOTHING)
    for message in (CheckPlaces(shadow.collection_id), ChangePlaces(shadow.collection_id)):
        with pytest.raises(ConflictError, match="holds 1 rows that syncd does not know"):
            await parts.index.mailbox.ask(message)
    assert "my own note" in await documents(parts, target)
    await parts.chroma.write(target, ["own"], NOTHING, NOTHING)
    await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    await parts.chroma.write(target, [], own, NOTHING)
    (former,) = await parts.store.shadows.all()
    with pytest.raises(ConflictError, match="move rows of your own"):
        await parts.index.mailbox.ask(ChangePlaces(former.collection_id))


async def test_nothing_changes_its_place_while_it_is_being_filled_from_the_store(parts, folder, target):
    _, shadow = await built(parts, folder, target)
    await parts.store.refills.begin(shadow.live_id, "{}", None)
    with pytest.raises(RetryableError, match="being filled"):
        await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
    (still,) = await parts.store.shadows.all()
    assert still.state is ShadowState.BUILDING


async def test_a_search_under_way_meanwhile_answers_from_one_of_them_and_not_from_both(parts, folder, target):
    _, shadow = await built(parts, folder, target)
    after = await documents(parts, shadow.target)

    class Changing:
        """Lets the collections change places before it embeds the first query."""

        async def embed(self, *texts, **options):
            if (await parts.store.shadows.all())[0].state is ShadowState.BUILDING:
                await parts.index.mailbox.ask(ChangePlaces(shadow.collection_id))
            return await parts.embedder.embed(*texts, **options)

    async def embedder(_name):
        return Changing()

    search = Search(parts.store, parts.chroma, embedder, SparseModels(), parts.index.damaged)
    answer = await search.search(Query(target, "One line of text", "dense"))
    assert {hit.text for hit in answer.hits} == after
