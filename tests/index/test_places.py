"""A collection that was built beside another one takes its place in the vector store, whatever dies meanwhile."""

from dataclasses import replace

import pytest

from syncd.errors import NotFoundError, RetryableError
from syncd.index.changes import ChangePlaces, DropCollection
from syncd.index.verify import Verifier
from syncd.model import Chunking, Target
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import Query, Search
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.store.shadow_rows import ShadowState
from syncd.sync.deletes import DeleteGuard
from tests.models import in_its_own_task
from tests.pipeline.parts import MODEL, running, write

TEXT = "One line of text that stands here.\nAnother line of it, which is longer.\nA third one, to fill it up.\n"
FILES = {"a.txt": TEXT, "b.txt": "Some words.\n"}
FINER = Chunking(type="lines", max_size_bytes=120, max_lines=1)


async def built(parts, folder, target: Target):
    """Sync the folder, and build its collection anew in finer chunks beside; return its source and the shadow."""
    await parts.sync(folder, target)
    source = await parts.source(folder)
    live = await parts.store.collections.find(target)
    finer = replace(source, chunking=FINER)
    await parts.store.shadows.begin(live.id, target, MODEL, [finer])
    (shadow,) = await parts.store.shadows.all()
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
        _, shadow = await built(parts, folder, target)
        before, after = await documents(parts, target), await documents(parts, shadow.target)
        assert await parts.store.shadows.decide(shadow.collection_id)
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
