"""A collection of shortened vectors: Chroma holds few dimensions, SQLite all of them, and answers are ordered by all of them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from syncd.errors import ConflictError
from syncd.index.verify import Drift, Verifier
from syncd.model import NOTHING, Origin, Rows, Target, WholeSource
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import Query, Search
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.store.codec import embedding_to_json
from syncd.sync.deletes import DeleteGuard
from tests.pipeline.parts import CHUNKING, MODEL, write

FILES = {f"{n:02}.md": f"# Title {n}\n\nSome words about thing {n}.\n" for n in range(40)}
SHORT = replace(MODEL, dimensions=3)


@pytest.fixture
async def short(parts, folder):
    """The folder's source, which asks for three of eight dimensions."""
    return await declared(parts, folder, "folder", SHORT)


async def declared(parts, folder, name, embedding):
    settings = FolderSourceSettings(path=str(folder))
    return await parts.store.sources.create("folder", "default_database", settings, embedding, CHUNKING, name)


@pytest.fixture
def search(parts):
    async def embedder(_name):
        return parts.embedder

    return Search(parts.store, parts.chroma, embedder, SparseModels(), parts.index.damaged)


async def whole_vectors(parts, target) -> dict[str, np.ndarray]:
    record = await parts.store.collections.find(target)
    ids = [row.id for row in await parts.chroma.get(target)]
    return dict(await parts.store.chunks.vectors(record.id, ids))


async def held(parts, target) -> dict[str, np.ndarray]:
    return {row.id: row.vector for row in await parts.chroma.get(target, vectors=True)}


def unit(vector):
    return vector / np.linalg.norm(vector)


async def test_chroma_holds_the_leading_dimensions_as_unit_vectors_and_sqlite_all(parts, folder, target, short):
    await parts.sync(folder, target)
    whole, few = await whole_vectors(parts, target), await held(parts, target)
    assert len(few) == 40
    for chunk_id, vector in few.items():
        assert whole[chunk_id].shape == (8,)
        assert np.allclose(vector, unit(whole[chunk_id][:3]), atol=1e-6)


async def test_hits_are_ordered_and_scored_by_whole_vectors(parts, folder, target, short, search):
    await parts.sync(folder, target)
    whole, few = await whole_vectors(parts, target), await held(parts, target)
    (asked,) = (await parts.embedder.embed(["which thing"], "query")).vectors
    by_whole = sorted(whole, key=lambda i: -float(whole[i] @ asked))
    assert by_whole[:5] != sorted(few, key=lambda i: -float(few[i] @ unit(asked[:3])))[:5]
    hits = (await search.search(Query(target=target, text="which thing", mode="dense", limit=5))).hits
    assert [hit.id for hit in hits] == by_whole[:5]
    assert [hit.score for hit in hits] == pytest.approx([float(whole[i] @ asked) for i in by_whole[:5]], abs=1e-6)


async def test_neighbouring_pages_are_cut_from_one_order(parts, folder, target, short, search):
    write(folder, {f"more-{n}.md": f"# More {n}\n\nOther words about thing {n}.\n" for n in range(260)})
    await parts.sync(folder, target)

    async def page(offset, limit):
        asked = Query(target=target, text="which thing", mode="dense", limit=limit, offset=offset)
        return [hit.id for hit in (await search.search(asked)).hits]

    assert [*await page(0, 10), *await page(10, 10), *await page(20, 10)] == await page(0, 30)


async def test_filters_hold_for_hits_by_whole_vectors_too(parts, folder, target, short, search):
    await parts.sync(folder, target)
    asked = Query(target=target, text="which thing", mode="dense", limit=3, where={"key": {"$in": ["07.md", "08.md"]}})
    assert {hit.metadata["key"] for hit in (await search.search(asked)).hits} == {"07.md", "08.md"}


async def test_rows_that_syncd_did_not_write_keep_the_score_of_their_short_vectors(
    parts, folder, target, short, search
):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    row = (await parts.chroma.get(target, vectors=True))[0]
    await parts.chroma.write(target, [], Rows(["own"], [{"mine": True}], ["own words"], [row.vector]), NOTHING)
    hits = (await search.search(Query(target=target, text="x", mode="dense", limit=41))).hits
    assert "own" in [hit.id for hit in hits]
    assert await parts.store.outbox.dimensions(record.id) == 3


async def test_clients_of_chroma_get_query_vectors_as_short_as_the_collections(parts, folder, target, short, search):
    await parts.sync(folder, target)
    vectors = await search.embed(target, ["a", "b"])
    (whole, _) = (await parts.embedder.embed(["a", "b"], "query")).vectors
    assert vectors.shape == (2, 3)
    assert np.allclose(vectors[0], unit(whole[:3]), atol=1e-6)
    assert len(await parts.chroma.query(target, vectors[0].tolist(), 5)) == 5


async def test_it_is_rebuilt_and_verified_from_the_whole_vectors_without_embedding(parts, folder, target, short):
    await parts.sync(folder, target)
    before = await held(parts, target)
    parts.embedder.embedded.clear()
    verifier = Verifier(parts.store, parts.chroma, parts.index)
    assert await verifier.verify(target) == Drift(40)
    assert await parts.index.rebuild(target) == 40
    after = await held(parts, target)
    assert {i: v.round(5).tolist() for i, v in after.items()} == {i: v.round(5).tolist() for i, v in before.items()}
    assert await verifier.verify(target) == Drift(40)
    assert parts.embedder.embedded == []


async def test_a_source_set_to_other_dimensions_has_its_collection_made_again_and_nothing_embedded(
    parts, folder, target, search
):
    await parts.sync(folder, target)
    await parts.chroma.set_metadata(target, {"owner": "me"})
    parts.embedder.embedded.clear()
    source = await parts.source(folder)
    for dimensions in (3, 5, None):
        after = replace(MODEL, dimensions=dimensions)
        before = (await parts.store.collections.find(target)).embedding
        assert await parts.store.refills.reshape(target, source.id, before, after)
        assert not await parts.store.refills.reshape(target, source.id, before, after)
        record = await parts.store.collections.find(target)
        await parts.index.look(record.id)
        assert {v.shape for v in (await held(parts, target)).values()} == {(dimensions or 8,)}
        assert (await parts.chroma.metadata(target))["owner"] == "me"
        assert await Verifier(parts.store, parts.chroma, parts.index).verify(target) == Drift(40)
        assert len((await search.search(Query(target=target, text="thing", mode="dense", limit=5))).hits) == 5
    assert parts.embedder.embedded.count("thing") == len(parts.embedder.embedded) == 3


async def test_sources_of_other_dimensions_on_one_collection_are_told_apart(parts, folder, target, short):
    await parts.sync(folder, target)
    parts.embedder.embedded.clear()
    for embedding, words in (
        (MODEL, "3 dimensions and this source is set to all"),
        (replace(MODEL, dimensions=4), "4"),
    ):
        with pytest.raises(ConflictError, match=words) as refused:
            await parts.index.open(target, embedding)
        assert "choose another target collection" in str(refused.value)
    other = await declared(parts, folder, "other", MODEL)
    record = await parts.store.collections.find(target)
    statement = (
        "INSERT INTO documents (collection_id, source_id, key, prefix, version, fingerprint, state, reason, seen, recorded_at) "
        "VALUES (?, ?, 'theirs', 'theirs', '', '', 'indexed', '', 0, 0)"
    )
    await parts.store.database.write(lambda c: c.execute(statement, (record.id, other.id)))
    assert not await parts.store.refills.reshape(target, short.id, SHORT, MODEL)
    assert (await parts.store.collections.find(target)).embedding == SHORT


async def test_another_collection_with_other_dimensions_costs_no_vector(parts, folder, target, short):
    await parts.sync(folder, target)
    parts.embedder.embedded.clear()
    longer = replace(short, embedding=replace(MODEL, dimensions=6))
    elsewhere = Target("default_database", f"{target.collection}-six")
    invocation = await parts.store.invocations.create(short.id, elsewhere, Origin.WATCH, WholeSource())
    run = await parts.begin(longer, invocation, DeleteGuard())
    await run.execute(FolderTreeSource(FolderSettings("folder", folder)))
    assert {v.shape for v in (await held(parts, elsewhere)).values()} == {(6,)}
    assert parts.embedder.embedded == []


def test_embeddings_without_dimensions_are_stored_as_ever():
    assert "dimensions" not in json.loads(embedding_to_json(MODEL))
    assert json.loads(embedding_to_json(SHORT))["dimensions"] == 3
