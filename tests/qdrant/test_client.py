"""What is Qdrant's own: names, ids, errors, and what a crash in between leaves. What every store does: tests/index/test_target.py."""

from dataclasses import replace
from uuid import UUID

import anyio
import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, models

from syncd.chroma.server import free_port
from syncd.errors import ConflictError, NotFoundError, PermanentError, RetryableError, TargetRefusedError, TooLargeError
from syncd.model import NOTHING, Rows, Target
from syncd.qdrant.client import Qdrant
from syncd.qdrant.connection import QdrantSettings
from syncd.qdrant.names import alias_of, target_of
from syncd.qdrant.points import point_batches, point_id, points_of
from tests.chroma.failing_proxy import FailingProxy
from tests.qdrant_server import qdrant_running


@pytest.fixture
async def qdrant(qdrant_server):
    async with Qdrant(QdrantSettings(qdrant_server.url)) as qdrant:
        await qdrant.look()
        yield qdrant


@pytest.fixture
async def client(qdrant_server):
    """What people use beside syncd."""
    client = AsyncQdrantClient(qdrant_server.url, check_compatibility=False)
    yield client
    await client.close()


def rows(*ids: str, **metadata) -> Rows:
    return Rows(ids, [metadata] * len(ids), [f"text of {i}" for i in ids], np.eye(len(ids), 4, dtype=np.float32))


async def test_people_find_a_collection_by_its_name_with_payloads_that_say_it_all(qdrant, client, fresh_name):
    for target, alias in (
        (Target("default_database", fresh_name), fresh_name),
        (Target("team a", fresh_name), f"team a@{fresh_name}"),
    ):
        await qdrant.open_collection(target)
        await qdrant.set_metadata(target, {"owner": "us"})
        assert (await client.count(alias)).count == 0
        await qdrant.write(target, [], rows("docs/a.md#0", "docs/a.md#1", key="docs/a.md"), NOTHING)
        (found,) = (await client.query_points(alias, [1.0, 0.0, 0.0, 0.0], limit=1)).points
        metadata = {"key": "docs/a.md"}
        assert found.payload == {"id": "docs/a.md#0", "document": "text of docs/a.md#0", "metadata": metadata}
        assert (await client.get_collection(alias)).config.metadata == {"owner": "us"}


async def test_a_collection_keeps_its_id_when_it_gets_its_vectors_and_nothing_else_stays(qdrant, client, fresh_name):
    target = Target("default_database", fresh_name)
    ident = await qdrant.open_collection(target)
    await client.update_collection_aliases(
        [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=ident, alias_name=f"{fresh_name}-2")
            )
        ]
    )
    await qdrant.write(target, [], rows("a"), NOTHING)
    assert await qdrant.collection_id(target) == ident
    assert (await client.count(f"{fresh_name}-2")).count == 1
    names = [one.name for one in (await client.get_collections()).collections]
    assert [name for name in names if name.startswith(ident)] == [f"{ident}-4"]
    with pytest.raises(TargetRefusedError):
        await qdrant.write(target, [], Rows(["b"], [{}], ["b"], np.ones((1, 3), np.float32)), NOTHING)


@pytest.mark.parametrize(
    "cut", ["create_collection", "create_payload_index", "update_collection_aliases", "delete_collection"]
)
@pytest.mark.parametrize("is_before", [True, False])
async def test_killed_at_any_point_the_next_write_goes_on(qdrant, client, fresh_name, cut, is_before):
    target = Target("default_database", fresh_name)
    ident = await qdrant.open_collection(target)
    await qdrant.set_metadata(target, {"owner": "us"})
    whole = getattr(qdrant._client, cut)

    async def killed(*arguments, **options):
        if not is_before:
            await whole(*arguments, **options)
        raise KeyboardInterrupt

    setattr(qdrant._client, cut, killed)
    with pytest.raises(KeyboardInterrupt):
        await qdrant.write(target, [], rows("a"), NOTHING)
    setattr(qdrant._client, cut, whole)
    qdrant.forget(target)
    assert await qdrant.open_collection(target) == ident
    await qdrant.write(target, [], rows("a"), NOTHING)
    assert [row.id for row in await qdrant.get(target)] == ["a"]
    assert await qdrant.metadata(target) == {"owner": "us"}
    await qdrant.delete_collection(target)
    names = [one.name for one in (await client.get_collections()).collections]
    assert [name for name in names if name.startswith(ident)] == []


async def test_a_collection_whose_name_was_not_yet_given_is_taken_and_no_other_is_made(qdrant, client, fresh_name):
    target = Target("default_database", fresh_name)
    ident = await qdrant.open_collection(target)
    await client.update_collection_aliases(
        [models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=fresh_name))]
    )
    assert await qdrant.collection_id(target) is None
    assert await qdrant.open_collection(target) == ident


async def test_killed_before_the_empty_collection_is_deleted_a_renamed_one_keeps_its_rows_to_itself(
    qdrant, client, fresh_name
):
    live, away = Target("default_database", fresh_name), Target("default_database", f"{fresh_name}-away")
    ident = await qdrant.open_collection(live)
    whole = qdrant._client.delete_collection

    async def killed(*arguments, **options):
        raise KeyboardInterrupt

    qdrant._client.delete_collection = killed
    with pytest.raises(KeyboardInterrupt):
        await qdrant.write(live, [], rows("a"), NOTHING)
    qdrant._client.delete_collection = whole
    qdrant.forget(live)
    await qdrant.write(live, [], rows("a"), NOTHING)
    await qdrant.rename(away, ident)
    qdrant.forget(live)
    assert await qdrant.open_collection(live) != ident
    await qdrant.write(live, [], rows("b"), NOTHING)
    assert [row.id for row in await qdrant.get(live)] == ["b"]
    assert [row.id for row in await qdrant.get(away)] == ["a"]
    names = [one.name for one in (await client.get_collections()).collections]
    assert [name for name in names if name.startswith(ident)] == [f"{ident}-4"]


async def test_deleted_with_what_was_made_to_hold_its_vectors_before_it_held_any(qdrant, client, fresh_name):
    target = Target("default_database", fresh_name)
    ident = await qdrant.open_collection(target)
    await client.create_collection(f"{ident}-4", models.VectorParams(size=4, distance=models.Distance.COSINE))
    await qdrant.delete_collection(target)
    names = [one.name for one in (await client.get_collections()).collections]
    assert [name for name in names if name.startswith(ident)] == []


async def test_a_collection_that_syncd_did_not_make_is_left_alone(qdrant, client, fresh_name):
    await client.create_collection(fresh_name, vectors_config={})
    with pytest.raises(ConflictError, match="choose another name"):
        await qdrant.open_collection(Target("default_database", fresh_name))


async def test_points_of_somebodys_own_are_found_under_their_ids(qdrant, client, fresh_name):
    target = Target("default_database", fresh_name)
    await qdrant.open_collection(target)
    await qdrant.write(target, [], rows("a"), NOTHING)
    theirs = "6a3c5d0e-0000-4000-8000-000000000000"
    points = [models.PointStruct(id=number, vector=[0, 1, 0, 0], payload={"title": "x"}) for number in (7, theirs)]
    await client.upsert(fresh_name, points)
    assert {row.id for row in await qdrant.get(target)} == {"a", "7", theirs}
    assert [row.id for row in await qdrant.get(target, ["7", theirs])] == ["7", theirs]
    await qdrant.write(target, ["7"], NOTHING, NOTHING)
    assert await qdrant.count(target) == 2


def test_ids_that_qdrant_takes_stay_and_others_are_hashed_to_the_same_forever():
    theirs = "6a3c5d0e-0000-4000-8000-000000000000"
    assert (point_id("7"), point_id(theirs), point_id(str(2**64 - 1))) == (7, theirs, 2**64 - 1)
    others = ["07", str(2**64), "-1", "²", "1" * 5000, theirs.upper(), theirs.replace("-", ""), "a.md#0"]
    assert all(UUID(str(point_id(other))).version == 5 for other in others)
    assert len({point_id(other) for other in others}) == len(others)
    assert point_id("a.md#0") == "205320fb-9ed4-5870-933e-1cbd9cae8f76"


def test_each_collection_has_one_alias_that_says_which_it_is():
    for target in (Target("default_database", "a.b"), Target("team", "a.b"), Target("team.a", "b")):
        assert target_of(alias_of(target)) == target
    for database in ("a/b", "a@b", "a:b", "", "x" * 255):
        with pytest.raises(NotFoundError):
            alias_of(Target(database, "abc"))
    with pytest.raises(PermanentError, match="shorter"):
        alias_of(Target("team", "x" * 255))


@pytest.mark.parametrize(
    ("where", "where_document", "said"),
    [
        ({"a": 1, "b": 2}, None, "one key"),
        ({"a": {"$gt": 1, "$lt": 3}}, None, "one operator"),
        ({"a": {"$gt": "x"}}, None, "needs a number"),
        ({"a": {"$in": []}}, None, "no value"),
        ({"a": [1]}, None, "strings, numbers"),
        ({"$and": []}, None, "list of filters"),
        ({"$or": ["x"]}, None, "list of filters"),
        ({'a"b': 1}, None, "quote"),
        (None, {"$regex": "x+"}, "search mode regex"),
    ],
)
async def test_what_qdrant_cannot_filter_by_is_said(qdrant, fresh_name, where, where_document, said):
    with pytest.raises(PermanentError, match=said):
        await qdrant.get(Target("default_database", fresh_name), where=where, where_document=where_document)


@pytest.mark.parametrize(
    ("where", "passing"),
    [
        ({"a.b": "x y"}, {"one"}),
        ({"flag": True}, {"one"}),
        ({"flag": {"$ne": True}}, {"two"}),
        ({"half": 0.5}, {"one"}),
        ({"half": {"$in": [0.5, 2, "x"]}}, {"one", "two"}),
        ({"words": {"$contains": "b"}}, {"one"}),
        ({"words": {"$not_contains": "b"}}, {"two"}),
        ({"$and": [{"flag": False}, {"$or": [{"half": 0.5}, {"half": 2}]}]}, {"two"}),
    ],
)
async def test_filters_reach_any_metadata(qdrant, fresh_name, where, passing):
    target = Target("default_database", fresh_name)
    await qdrant.open_collection(target)
    metadata = [{"a.b": "x y", "flag": True, "half": 0.5, "words": ["a", "b"]}, {"flag": False, "half": 2}]
    vectors = np.eye(2, dtype=np.float32)
    await qdrant.write(target, [], Rows(["one", "two"], metadata, ["one", "two"], vectors), NOTHING)
    assert {row.id for row in await qdrant.get(target, where=where)} == passing


async def test_more_rows_than_a_page_are_written_read_and_deleted(qdrant, fresh_name):
    target = Target("default_database", fresh_name)
    await qdrant.open_collection(target)
    ids = [f"row-{n}" for n in range(2100)]
    vectors = np.ones((len(ids), 2), np.float32)
    await qdrant.write(target, [], Rows(ids, [{"n": n} for n in range(2100)], ["text"] * len(ids), vectors), NOTHING)
    assert len(await qdrant.get(target)) == len(await qdrant.get(target, ids)) == await qdrant.count(target) == 2100
    parts = [len(await qdrant.part(target, number, 7)) for number in range(7)]
    assert sum(parts) == 2100
    assert all(200 < size < 400 for size in parts)
    await qdrant.write(target, ids[:1500], NOTHING, NOTHING)
    assert await qdrant.count(target) == 600


async def test_a_write_larger_than_a_proxy_takes_goes_in_parts(qdrant_server, fresh_name):
    target, text = Target("default_database", fresh_name), "word " * 200
    some = rows(*[f"row-{n}" for n in range(40)], note=text)
    longer = replace(some, documents=[text] * 40)
    with FailingProxy(qdrant_server).running() as proxy:
        proxy.fails = lambda _method, _path, body: 413 if len(body) > 10_000 else None
        async with Qdrant(QdrantSettings(f"http://{proxy.host}:{proxy.port}")) as behind:
            await behind.look()
            await behind.open_collection(target)
            await behind.write(target, [], longer, NOTHING)
            await behind.write(target, some.ids, longer, longer)
            assert proxy.failed > 0
            assert {row.document for row in await behind.get(target)} == {text}
            assert await behind.count(target) == 40
            alone = replace(rows("row-0"), documents=["word " * 2000])
            with pytest.raises(TooLargeError, match="client_max_body_size"):
                await behind.write(target, alone.ids, alone, NOTHING)
            assert {row.document for row in await behind.get(target)} == {text}


def test_a_batch_stays_within_what_qdrant_takes_whatever_the_dimensions():
    for dimensions in (384, 4096):
        vectors = np.random.default_rng(0).standard_normal((300, dimensions)).astype(np.float32)
        ids = [f"row-{n}" for n in range(300)]
        some = Rows(ids, [{}] * 300, ["word " * 2000] * 300, vectors)
        for batch in point_batches(some):
            body = "".join(point.model_dump_json() for point in points_of(some, [None] * 300, batch))
            assert len(body) < 8.2 * (1 << 20)


async def test_while_it_is_away_it_is_said_and_noticed_when_it_is_back(tmp_path):
    target = Target("default_database", "abc")
    with qdrant_running(tmp_path) as server:
        async with Qdrant(QdrantSettings(server.url)) as qdrant:
            assert "not been asked" in qdrant.status()
            assert await qdrant.look() is None
            await qdrant.open_collection(target)
            server.stop()
            with pytest.raises(RetryableError, match="cannot be reached"):
                await qdrant.count(target)
            assert "cannot be reached" in qdrant.status()
            server.start()
            with anyio.fail_after(60):
                await qdrant.available()
            assert (await qdrant.count(target), qdrant.outages) == (0, 1)


async def test_a_wrong_key_an_old_server_and_what_is_none_are_waited_for(tmp_path):
    with qdrant_running(tmp_path, api_key="right") as server:
        async with Qdrant(QdrantSettings(server.url, "wrong")) as qdrant:
            assert "qdrant.api_key" in await qdrant.look()
        async with Qdrant(QdrantSettings(server.url, "right")) as qdrant:
            assert await qdrant.look() is None
        server.stop()
        server.version = "1.16.3"
        server.start()
        async with Qdrant(QdrantSettings(server.url, "right")) as qdrant:
            assert "1.16.3 is too old" in await qdrant.look()
            with pytest.raises(RetryableError, match="too old"):
                await qdrant.open_collection(Target("default_database", "abc"))
    async with Qdrant(QdrantSettings(f"http://127.0.0.1:{free_port()}")) as qdrant:
        assert "cannot be reached" in await qdrant.look()
