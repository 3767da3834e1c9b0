"""What is noted, asked and forgotten of collections that are built beside those that answer."""

from dataclasses import replace

import pytest

from syncd.model import Chunking, ConfirmDeletes, Embedding, Origin, SomeKeys, SourceWatch, Target, WholeSource
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import Replacement
from syncd.store.recipes import Recipe
from syncd.store.shadow_rows import ShadowState

NOTES = Target("db", "notes")
ONE, OTHER = Embedding(model="one"), Embedding(model="other")
COARSE, FINE = Chunking(target_size_bytes=3000), Chunking(target_size_bytes=300)
SETTINGS = FolderSourceSettings(
    path="/notes", collection_name="notes", watch=SourceWatch(target_collection_name="notes")
)


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def source(store):
    """A source with a document in its collection."""
    record = await store.sources.create("folder", "db", SETTINGS, ONE, COARSE, "notes")
    live = await store.collections.open(NOTES, ONE)
    await store.documents.stage([Replacement(live.id, record.id, "a.md", "prefix", "1", "print", "hash", 1, [])])
    return record


async def set_to(store, source, embedding: Embedding, chunking: Chunking, settings=SETTINGS):
    """Declare the source so and return it."""
    await store.sources.replace(source, "db", settings, embedding, chunking)
    return await store.sources.get(source.id)


async def test_how_documents_were_made_is_noted_until_the_source_is_set_back(store, source):
    changed = await set_to(store, source, OTHER, FINE)
    assert await store.shadows.recipe(source.id, NOTES) == Recipe(ONE, COARSE)
    assert len(await store.shadows.changed()) == 1
    again = await set_to(store, changed, OTHER, COARSE)
    assert await store.shadows.recipe(source.id, NOTES) == Recipe(ONE, COARSE)
    await set_to(store, again, ONE, COARSE)
    assert await store.shadows.recipe(source.id, NOTES) is None
    assert await store.shadows.changed() == []


@pytest.mark.parametrize("dimensions", [64, None])
async def test_other_dimensions_alone_are_no_reason(store, source, dimensions):
    await set_to(store, source, replace(ONE, dimensions=dimensions), COARSE)
    assert await store.shadows.changed() == []


async def test_nor_is_anything_where_the_source_has_nothing_or_goes_elsewhere(store, source):
    elsewhere = replace(SETTINGS, collection_name="more", watch=SourceWatch(target_collection_name="more"))
    changed = await set_to(store, source, OTHER, COARSE)
    await set_to(store, changed, OTHER, FINE, elsewhere)
    assert await store.shadows.changed() == []
    empty = replace(SETTINGS, path="/empty")
    other = await store.sources.create("folder", "db", empty, ONE, COARSE, "empty")
    await set_to(store, other, OTHER, COARSE, empty)
    assert await store.shadows.changed() == []


async def test_what_is_asked_of_a_collection_is_asked_of_its_shadow_too(store, source):
    changed = await set_to(store, source, OTHER, COARSE)
    (live_id,) = await store.shadows.changed()
    for _ in range(2):
        await store.shadows.begin(live_id, NOTES, OTHER, [changed])
    (shadow,) = await store.shadows.all()

    async def asked():
        due = [one for one in await store.invocations.due(10) if one.target == shadow.target]
        for one in due:
            await store.invocations.start(one.id)
            await store.invocations.settle(one.id, "complete", one.counts)
        return [(one.request, one.origin) for one in due]

    assert await asked() == [(WholeSource(), Origin.SCHEDULE)]
    keys = SomeKeys(("a.md",))
    await store.invocations.create_or_join(source.id, NOTES, Origin.WATCH, keys)
    await store.invocations.create_or_join(source.id, NOTES, Origin.WATCH, SomeKeys(("b.md",)))
    assert await asked() == [(SomeKeys(("a.md", "b.md")), Origin.SCHEDULE)]
    await store.invocations.create(source.id, NOTES, Origin.API, WholeSource(dry_run=True))
    await store.invocations.create(source.id, NOTES, Origin.API, ConfirmDeletes("an-id"))
    assert await asked() == []
    await store.shadows.discard(shadow, decide=True)
    await store.invocations.create(source.id, NOTES, Origin.API, keys)
    assert await asked() == []


async def test_a_shadow_is_complete_when_the_latest_whole_run_of_each_source_saw_all(store, source):
    changed = await set_to(store, source, OTHER, COARSE)
    (live_id,) = await store.shadows.changed()
    await store.shadows.begin(live_id, NOTES, OTHER, [changed])
    (shadow,) = await store.shadows.all()
    built = await store.shadows.built(shadow, [source.id])
    assert (built.share, built.lacks) == (0.0, "pending")
    for told in ("the sitemap was cut", None):
        (run,) = [one for one in await store.invocations.due(10) if one.target == shadow.target]
        await store.invocations.start(run.id)
        await store.invocations.settle(run.id, "complete", run.counts, told)
        built = await store.shadows.built(shadow, [source.id])
        assert (built.lacks, built.is_unfinished) == (told or "", False)
        await store.shadows.ask_again(changed, shadow.target)
    assert (await store.shadows.built(shadow, [source.id])).lacks == "pending"


async def test_a_run_that_was_put_off_is_not_over_whatever_it_or_another_source_says(store, source):
    more = await store.sources.create("folder", "db", replace(SETTINGS, path="/more"), ONE, COARSE, "more")
    changed = await set_to(store, source, OTHER, COARSE)
    (live_id,) = await store.shadows.changed()
    await store.shadows.begin(live_id, NOTES, OTHER, [changed, more])
    (shadow,) = await store.shadows.all()
    due = {one.source_id: one for one in await store.invocations.due(10) if one.target == shadow.target}
    first, second = due[source.id], due[more.id]
    await store.invocations.start(first.id)
    await store.invocations.postpone(first.id, 3600.0, "the source is away", first.counts)
    assert (await store.shadows.built(shadow, [source.id])).is_unfinished
    assert (await store.shadows.built(shadow, [source.id])).lacks == "the source is away"
    await store.invocations.start(second.id)
    await store.invocations.settle(second.id, "complete", second.counts, "the sitemap was cut")
    for order in ([source.id, more.id], [more.id, source.id]):
        assert (await store.shadows.built(shadow, order)).is_unfinished
    assert not (await store.shadows.built(shadow, [more.id])).is_unfinished


async def test_other_settings_meanwhile_have_it_filled_and_judged_anew(store, source):
    changed = await set_to(store, source, OTHER, COARSE)
    (live_id,) = await store.shadows.changed()
    await store.shadows.begin(live_id, NOTES, OTHER, [changed])
    (shadow,) = await store.shadows.all()
    await store.shadows.judged(shadow.collection_id, ShadowState.REFUSED, "{}")
    (run,) = [one for one in await store.invocations.due(10) if one.target == shadow.target]
    await store.invocations.start(run.id)
    await store.invocations.settle(run.id, "complete", run.counts)
    await set_to(store, changed, OTHER, FINE)
    (shadow,) = await store.shadows.all()
    assert shadow.state is ShadowState.BUILDING
    assert (await store.shadows.built(shadow, [source.id])).lacks == "pending"
