"""What the index may rely on, asked of the real Chroma server, of Qdrant and of the smallest store there can be.

Who adds a vector store adds it to `vector_store`.
"""

import anyio
import numpy as np
import pytest

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.errors import NotFoundError, PermanentError
from syncd.index.target import VectorStore
from syncd.index.verify import Drift, Verifier
from syncd.model import NOTHING, CollectionShape, QueryFunction, Rows, Target
from syncd.qdrant.client import Qdrant
from syncd.qdrant.connection import QdrantSettings
from tests.memory_target import MemoryTarget
from tests.pipeline.parts import over, write

DATABASE = "default_database"


@pytest.fixture(params=["Chroma", "Qdrant", "memory"])
async def vector_store(request):
    if request.param == "memory":
        yield MemoryTarget(DATABASE)
    elif request.param == "Qdrant":
        async with Qdrant(QdrantSettings(request.getfixturevalue("qdrant_server").url)) as qdrant:
            await qdrant.look()
            yield qdrant
    else:
        server = request.getfixturevalue("chroma_server")
        async with Chroma(ChromaSettings(server.host, server.port)) as chroma:
            await chroma.look()
            yield chroma


@pytest.fixture
async def target(vector_store, fresh_name) -> Target:
    target = Target(DATABASE, fresh_name)
    await vector_store.open_collection(target)
    return target


def rows(*numbers: int, **metadata) -> Rows:
    return Rows(
        [f"row-{n}" for n in numbers],
        [{"n": n, **metadata} for n in numbers],
        [f"text number {n}" for n in numbers],
        [np.array([np.cos(n / 10), np.sin(n / 10)], np.float32) for n in numbers],
    )


async def ids(vector_store: VectorStore, target: Target, **options) -> list[str]:
    return [row.id for row in await vector_store.get(target, **options)]


async def test_while_it_answers_nobody_waits_for_it(vector_store):
    assert vector_store.status() is None
    with anyio.fail_after(120):
        await vector_store.available()


async def test_a_collection_takes_the_name_of_one_that_was_renamed(vector_store, target, fresh_name):
    await vector_store.write(target, [], rows(1), NOTHING)
    other, away = Target(DATABASE, f"{fresh_name}-other"), Target(DATABASE, f"{fresh_name}-away")
    first, second = await vector_store.collection_id(target), await vector_store.open_collection(other)
    await vector_store.write(other, [], rows(2), NOTHING)
    for _ in range(2):
        await vector_store.rename(away, first)
    for _ in range(2):
        await vector_store.rename(target, second)
    for place in (target, other, away):
        vector_store.forget(place)
    assert await ids(vector_store, target) == ["row-2"]
    assert await ids(vector_store, away) == ["row-1"]
    assert await vector_store.collection_id(other) is None
    with pytest.raises(NotFoundError):
        await vector_store.rename(other, "00000000-0000-4000-8000-000000000000")


async def test_a_database_is_made_once_and_found(vector_store, fresh_name):
    assert isinstance(vector_store, Qdrant) or not await vector_store.database_exists(fresh_name)
    await vector_store.create_database(fresh_name)
    await vector_store.create_database(fresh_name)
    assert await vector_store.database_exists(fresh_name)


async def test_nothing_is_found_in_a_database_that_is_not_there(vector_store, fresh_name):
    nowhere = Target(f"{fresh_name}:" if isinstance(vector_store, Qdrant) else fresh_name, fresh_name)
    assert not await vector_store.database_exists(nowhere.database)
    with pytest.raises(NotFoundError):
        await vector_store.open_collection(nowhere)
    assert await vector_store.collection_id(nowhere) is None


async def test_a_collection_that_is_not_there_is_missed_by_every_call_that_needs_it(vector_store, fresh_name):
    target = Target(DATABASE, fresh_name)
    assert await vector_store.collection_id(target) is None
    await vector_store.delete_collection(target)
    for call in (
        vector_store.metadata(target),
        vector_store.set_metadata(target, {"a": 1}),
        vector_store.count(target),
        vector_store.get(target),
        vector_store.query(target, [1.0, 0.0], 1),
        vector_store.write(target, [], rows(1), NOTHING),
    ):
        with pytest.raises(NotFoundError):
            await call


async def test_opening_again_gives_the_same_id_and_keeps_the_rows(vector_store, target):
    opened = await vector_store.collection_id(target)
    await vector_store.write(target, [], rows(1), NOTHING)
    assert await vector_store.open_collection(target) == opened
    assert await vector_store.count(target) == 1


async def test_a_collection_made_again_has_another_id_and_no_rows(vector_store, target):
    before = await vector_store.collection_id(target)
    await vector_store.write(target, [], rows(1), NOTHING)
    await vector_store.delete_collection(target)
    assert await vector_store.open_collection(target) != before
    assert await vector_store.count(target) == 0


async def test_a_collection_is_found_by_its_id_with_its_own_metadata(vector_store, target):
    await vector_store.set_metadata(target, {"a": 1, "b": "x"})
    await vector_store.set_metadata(target, {"b": "y"})
    ident = await vector_store.collection_id(target)
    found = await vector_store.renamed(target.database, ident)
    assert found.name == target.collection
    assert found.metadata == await vector_store.metadata(target) == {"a": 1, "b": "y"}
    await vector_store.delete_collection(target)
    assert await vector_store.renamed(target.database, ident) is None


async def test_where_queries_are_embedded_is_recorded_as_often_as_one_likes(vector_store, fresh_name):
    target = Target(DATABASE, fresh_name)
    queries = QueryFunction("huggingface", "http://127.0.0.1:8100/embed/d/c")
    await vector_store.open_collection(target, CollectionShape(queries))
    await vector_store.record_queries(target, queries)
    await vector_store.open_collection(target, CollectionShape(queries))


async def test_rows_come_back_as_they_were_written(vector_store, target):
    written = rows(1, 2, words=["a", "b"], nothing=None, none=[], flag=True, half=0.5)
    await vector_store.write(target, [], written, NOTHING)
    for number, row in enumerate(await vector_store.get(target, ["row-1", "row-2", "row-9"], vectors=True)):
        assert row.id == written.ids[number]
        assert row.document == written.documents[number]
        assert {key: list(v) if key == "words" else v for key, v in row.metadata.items()} == vector_store.as_stored(
            written.metadatas[number]
        )
        assert row.vector == pytest.approx(written.vectors[number], abs=1e-6)
    bare = (await vector_store.get(target, ["row-1"], metadatas=False, documents=False))[0]
    assert (bare.metadata, bare.document, bare.vector) == ({}, None, None)


async def test_adding_what_is_there_changes_nothing_and_twice_is_safe(vector_store, target):
    await vector_store.write(target, [], rows(1, kind="old"), NOTHING)
    for _ in range(2):
        await vector_store.write(target, ["row-7"], rows(1, 2, kind="new"), NOTHING)
    assert {row.id: row.metadata["kind"] for row in await vector_store.get(target)} == {"row-1": "old", "row-2": "new"}


async def test_a_row_is_replaced_by_deleting_and_adding_it_in_one_call(vector_store, target):
    await vector_store.write(target, [], rows(1, 2, kind="old"), NOTHING)
    await vector_store.write(target, ["row-1"], rows(1, kind="new"), NOTHING)
    assert {row.id: row.metadata["kind"] for row in await vector_store.get(target)} == {"row-1": "new", "row-2": "old"}


async def test_an_update_merges_metadata_removes_keys_and_ignores_rows_that_are_not_there(vector_store, target):
    await vector_store.write(target, [], rows(1, a="x", b="x"), NOTHING)
    await vector_store.write(target, [], NOTHING, Rows(["row-1", "row-9"], [{"a": "y", "b": None}, {"a": "y"}]))
    assert [dict(row.metadata) for row in await vector_store.get(target)] == [{"n": 1, "a": "y"}]
    assert [row.document for row in await vector_store.get(target)] == ["text number 1"]


async def test_of_a_write_with_a_row_that_cannot_be_stored_nothing_is_done(vector_store, target):
    await vector_store.write(target, [], rows(1), NOTHING)
    broken = Rows(["row-2", "row-3"], [{}, {"a": {"b": 1}}], ["two", "three"], rows(2, 3).vectors)
    with pytest.raises(PermanentError, match="'a'"):
        vector_store.as_stored({"a": {"b": 1}})
    with pytest.raises(PermanentError, match="'a'"):
        await vector_store.write(target, ["row-1"], broken, NOTHING)
    assert await ids(vector_store, target) == ["row-1"]


async def test_parts_hold_every_row_once_with_its_metadata(vector_store, target):
    await vector_store.write(target, [], rows(*range(25)), NOTHING)
    parts = [row for number in range(3) for row in await vector_store.part(target, number, 3)]
    assert len(parts) == 25
    assert {row.id: row.metadata["n"] for row in parts} == {f"row-{n}": n for n in range(25)}


async def test_the_nearest_come_first_with_their_cosine_distance(vector_store, target):
    await vector_store.write(target, [], rows(0, 5, 10), NOTHING)
    found = await vector_store.query(target, [3.0, 0.0], 2)
    assert [row.id for row in found] == ["row-0", "row-5"]
    assert [row.distance for row in found] == pytest.approx([0.0, 1 - np.cos(0.5)], abs=1e-5)
    assert [row.document for row in found] == ["text number 0", "text number 5"]
    assert [row.document for row in await vector_store.query(target, [3.0, 0.0], 1, contents=False)] == [None]


@pytest.mark.parametrize(
    ("where", "where_document", "passing"),
    [
        ({"n": 1}, None, {1}),
        ({"n": {"$gte": 2}}, None, {2, 3}),
        ({"$or": [{"n": {"$in": [1]}}, {"$and": [{"n": {"$gt": 1}}, {"n": {"$lt": 3}}]}]}, None, {1, 2}),
        ({"n": {"$nin": [1, 2]}}, None, {3}),
        (None, {"$contains": "number 2"}, {2}),
        ({"n": {"$ne": 3}}, {"$not_contains": "number 2"}, {1}),
    ],
)
async def test_filters_mean_the_same(vector_store, target, where, where_document, passing):
    await vector_store.write(target, [], rows(1, 2, 3), NOTHING)
    expected = {f"row-{n}" for n in passing}
    assert set(await ids(vector_store, target, where=where, where_document=where_document)) == expected
    found = await vector_store.query(target, [1.0, 0.0], 5, where, where_document)
    assert {row.id for row in found} == expected
    chosen = await ids(vector_store, target, ids=["row-1", "row-2"], where=where, where_document=where_document)
    assert set(chosen) == expected - {"row-3"}


async def test_a_filter_that_is_none_is_refused(vector_store, target):
    await vector_store.write(target, [], rows(1), NOTHING)
    with pytest.raises(PermanentError):
        await vector_store.get(target, where={"n": {"$around": 1}})


FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}, which matters here.\n" for n in range(6)}


async def test_a_folder_is_kept_in_step_and_a_deleted_collection_filled_again(vector_store, fresh_name, tmp_path):
    target, folder = Target(DATABASE, fresh_name), tmp_path / "folder"
    write(folder, FILES)
    async with over(tmp_path / "state", vector_store) as parts:
        await parts.sync(folder, target)
        write(
            folder, {"0.md": None, "1.md": "# Another\n\nThis one says something else.\n", "new.md": "# New\n\nNew.\n"}
        )
        await parts.sync(folder, target)
        texts = " ".join(sorted(row.document for row in await vector_store.get(target)))
        assert "thing 0" not in texts
        assert "thing 1" not in texts
        assert "something else" in texts
        assert "New" in texts
        assert [state.bloat > 1 for state in await parts.store.refills.states()] == [not vector_store.frees_deleted]
        before = {row.id: row for row in await vector_store.get(target)}
        await vector_store.delete_collection(target)
        await parts.sync(folder, target)
        assert {row.id for row in await vector_store.get(target)} == before.keys()
        assert await Verifier(parts.store, vector_store, parts.index).verify(target) == Drift(len(before))


async def test_what_somebody_meddled_with_is_found_and_mended(vector_store, fresh_name, tmp_path):
    target, folder = Target(DATABASE, fresh_name), tmp_path / "folder"
    write(folder, FILES)
    async with over(tmp_path / "state", vector_store) as parts:
        await parts.sync(folder, target)
        chunks = [row.id for row in await vector_store.get(target)]
        await vector_store.write(target, chunks[:1], NOTHING, Rows(chunks[1:2], [{"key": "another"}]))
        verifier = Verifier(parts.store, vector_store, parts.index)
        assert await verifier.verify(target, repair=True) == Drift(len(chunks), missing=1, metadata=1)
        assert await verifier.verify(target) == Drift(len(chunks))
