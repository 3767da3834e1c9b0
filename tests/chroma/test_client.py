import asyncio
import json
import socket
from dataclasses import replace

import numpy as np
import pytest
from aiohttp import web

from syncd.chroma.client import REREAD_PAUSES_S, Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.rows import WRITE_ROWS
from syncd.chroma.server import free_port
from syncd.chroma.shape import function_of, queries_path
from syncd.errors import CollectionCorrupt, NotFoundError, PermanentError, RetryableError, TooLargeError
from syncd.model import CollectionShape, QueryFunction, Rows, Target
from tests.chroma.failing_proxy import FailingProxy
from tests.serving import serve

NOTHING = Rows([], [])


def rows(first, last, **metadata):
    numbers = range(first, last)
    vectors = np.array([[np.cos(n / 1000), np.sin(n / 1000)] for n in numbers], np.float32)
    return Rows(
        [f"row-{n}" for n in numbers],
        [{"n": n, **metadata} for n in numbers],
        [f"text number {n}" for n in numbers],
        vectors,
    )


@pytest.fixture
async def chroma(chroma_server):
    async with Chroma(ChromaSettings(chroma_server.host, chroma_server.port)) as chroma:
        yield chroma


@pytest.fixture
async def target(chroma, fresh_name):
    target = Target("default_database", fresh_name)
    await chroma.open_collection(target)
    return target


async def test_it_says_whether_chroma_answers(chroma):
    assert "not been asked" in chroma.status()
    await chroma.heartbeat()
    assert chroma.status() is None
    await chroma.available()


async def test_databases_are_made_once_and_found(chroma, fresh_name):
    assert not await chroma.database_exists(fresh_name)
    await chroma.create_database(fresh_name)
    await chroma.create_database(fresh_name)
    assert await chroma.database_exists(fresh_name)


async def test_opening_twice_gives_the_same_collection_with_cosine_space(chroma, fresh_name):
    target = Target("default_database", fresh_name)
    assert await chroma.collection_id(target) is None
    first = await chroma.open_collection(target)
    assert await chroma.open_collection(target) == first == await chroma.collection_id(target)
    await chroma.write(target, [], rows(0, 2), NOTHING)
    hits = await chroma.query(target, [2.0, 0.0], 2)
    assert [hit.id for hit in hits] == ["row-0", "row-1"]
    assert hits[0].distance == pytest.approx(0, abs=1e-6)


async def test_opening_in_an_unknown_database_is_refused(chroma, fresh_name):
    with pytest.raises(NotFoundError):
        await chroma.open_collection(Target(fresh_name, fresh_name))


async def test_a_refused_name_is_a_permanent_error(chroma):
    with pytest.raises(PermanentError):
        await chroma.open_collection(Target("default_database", "a"))


async def test_rows_are_added_updated_deleted_and_read_back(chroma, target):
    count = WRITE_ROWS * 2 + 7
    await chroma.write(target, [], rows(0, count, kind="code"), NOTHING)
    assert await chroma.count(target) == count
    changed = Rows(["row-3"], [{"kind": None, "tags": ["a", "b"]}])
    replaced = replace(rows(5, 6), documents=["another text"])
    await chroma.write(target, ["row-4", "row-5", "never-there"], replaced, changed)
    assert await chroma.count(target) == count - 1
    three, five = await chroma.get(target, ["row-3", "row-4", "row-5"], vectors=True)
    assert (three.id, three.metadata, three.document) == (
        "row-3",
        {"n": 3, "tags": ["a", "b"]},
        "text number 3",
    )
    assert (five.id, five.metadata, five.document) == ("row-5", {"n": 5}, "another text")
    assert np.allclose(five.vector, rows(5, 6).vectors[0], rtol=0, atol=1e-6)


async def test_rows_are_cut_into_parts_and_filtered(chroma, target):
    await chroma.write(target, [], rows(0, 20), NOTHING)
    page = await chroma.part(target, 2, 3)
    assert len(page) == 6
    assert page[0].document is None
    assert {row.id for row in await chroma.get(target, where={"n": {"$lt": 3}})} == {"row-0", "row-1", "row-2"}
    hits = await chroma.query(target, [1.0, 0.0], 3, {"n": {"$gte": 10}}, {"$contains": "number 1"})
    assert [hit.id for hit in hits] == ["row-10", "row-11", "row-12"]
    assert await chroma.get(target, []) == []


async def test_many_ids_are_read_though_one_request_could_not(chroma, target):
    await chroma.write(target, [], rows(0, 10), NOTHING)
    found = await chroma.get(target, [f"row-{n}" for n in range(40_000)], documents=False)
    assert len(found) == 10


async def test_collection_metadata_is_merged(chroma, target):
    assert await chroma.metadata(target) == {}
    await chroma.set_metadata(target, {"source": "s1"})
    await chroma.set_metadata(target, {"finished_ingest": True})
    assert await chroma.metadata(target) == {"source": "s1", "finished_ingest": True}
    await chroma.write(target, [], rows(0, 2), NOTHING)
    assert [row.id for row in await chroma.query(target, [1.0, 0.0], 1)] == ["row-0"]


async def test_a_collection_deleted_behind_our_back_is_not_found_and_can_be_opened_anew(chroma, target, chroma_server):
    first = await chroma.collection_id(target)
    async with Chroma(chroma.settings) as other:
        await other.delete_collection(target)
        await other.delete_collection(target)
    with pytest.raises(NotFoundError, match=target.collection):
        await chroma.write(target, [], rows(0, 1), NOTHING)
    assert await chroma.open_collection(target) != first
    await chroma.write(target, [], rows(0, 1), NOTHING)
    assert await chroma.count(target) == 1


async def test_a_bad_record_is_refused_before_anything_is_written(chroma, target):
    bad = replace(rows(0, 2), metadatas=[{"n": 0}, {"n": float("nan")}])
    with pytest.raises(PermanentError, match=r"row-1.*finite"):
        await chroma.write(target, [], bad, NOTHING)
    assert await chroma.count(target) == 0


async def test_a_refused_write_says_why(chroma, target):
    await chroma.write(target, [], rows(0, 1), NOTHING)
    wrong = replace(rows(1, 2), vectors=np.zeros((1, 3), np.float32))
    with pytest.raises(PermanentError, match="dimension"):
        await chroma.write(target, [], wrong, NOTHING)


async def test_a_write_larger_than_a_proxy_takes_goes_in_parts(chroma_server, chroma, target):
    some, text = rows(0, 40), "word " * 200
    longer = replace(some, documents=[text] * 40, metadatas=[{"note": text}] * 40)
    with FailingProxy(chroma_server).running() as proxy:
        proxy.fails = lambda _method, _path, body: 413 if len(body) > 10_000 else None
        async with Chroma(ChromaSettings(proxy.host, proxy.port)) as behind:
            await behind.write(target, [], longer, NOTHING)
            await behind.write(target, some.ids, longer, longer)
            assert proxy.failed > 0
            assert {row.document for row in await chroma.get(target)} == {text}
            assert await chroma.count(target) == 40
            alone = replace(rows(0, 1), documents=["word " * 2000])
            with pytest.raises(TooLargeError, match="client_max_body_size"):
                await behind.write(target, alone.ids, alone, NOTHING)
    assert {row.document for row in await chroma.get(target)} == {text}


async def test_rows_that_are_all_replaced_are_found_by_their_vectors_as_before(chroma, fresh_name):
    count, dimensions = 300, 384
    random = np.random.default_rng(7)
    along, across = random.standard_normal((count, 24)), random.standard_normal((count, dimensions))
    vectors = (along @ random.standard_normal((24, dimensions)) + 0.5 * across).astype(np.float32)
    some = replace(rows(0, count), vectors=vectors)
    for turn in range(8):
        target = Target("default_database", f"{fresh_name}-{turn}")
        await chroma.open_collection(target)
        await chroma.write(target, [], some, NOTHING)
        await chroma.write(target, some.ids, some, NOTHING)
        near = [await chroma.query(target, vector.tolist(), 1, contents=False) for vector in vectors]
        assert [row.id for (row,) in near] == list(some.ids)


async def test_the_index_of_a_single_server_keeps_deleted_rows_and_chroma_clouds_does_not(chroma):
    assert not chroma.frees_deleted
    assert Chroma(ChromaSettings.cloud("tenant", "key")).frees_deleted


async def test_writes_of_many_tasks_go_one_at_a_time_and_all_arrive(chroma, target):
    await asyncio.gather(*(chroma.write(target, [], rows(n, n + 5), NOTHING) for n in range(0, 50, 5)))
    assert await chroma.count(target) == 50


READS = {
    "query": lambda chroma, target: chroma.query(target, [1.0, 0.0], 1, {"n": 0}),
    "get": lambda chroma, target: chroma.get(target, where={"n": 0}),
    "get by id": lambda chroma, target: chroma.get(target, ["row-0"], vectors=True),
    "part": lambda chroma, target: chroma.part(target, 0, 1),
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
async def test_a_read_that_fails_as_beside_a_delete_is_repeated_and_not_taken_for_damage(
    chroma_server, chroma, target, read
):
    await chroma.write(target, [], rows(0, 1), NOTHING)
    with FailingProxy(chroma_server).running() as proxy:
        proxy.message = "Error executing plan: Internal error: Error finding id"
        proxy.fails = lambda _, path, __: (
            500 if path.endswith(("/query", "/get")) and proxy.failed < len(REREAD_PAUSES_S) else None
        )
        async with Chroma(ChromaSettings(proxy.host, proxy.port)) as behind:
            assert [row.id for row in await read(behind, target)] == ["row-0"]
            assert proxy.failed == len(REREAD_PAUSES_S)
            proxy.failed = -1
            with pytest.raises(CollectionCorrupt, match="rebuilt from the store"):
                await read(behind, target)


class Forgetful(FailingProxy):
    """Leaves the vectors out of its answers while `failed` is below `times`."""

    times = len(REREAD_PAUSES_S)

    async def answer(self, request):
        answered = await super().answer(request)
        if not request.path.endswith("/get") or self.failed >= self.times:
            return answered
        self.failed += 1
        return web.json_response({**json.loads(answered.body), "embeddings": []})


async def test_rows_without_their_vectors_as_beside_the_first_write_are_read_again(chroma_server, chroma, target):
    await chroma.write(target, [], rows(0, 1), NOTHING)
    with Forgetful(chroma_server).running() as proxy:
        async with Chroma(ChromaSettings(proxy.host, proxy.port)) as behind:
            (row,) = await behind.get(target, vectors=True)
            assert row.vector is not None
            assert proxy.failed == proxy.times
            proxy.failed = -1
            with pytest.raises(CollectionCorrupt, match="0 vectors for 1 rows"):
                await behind.get(target, vectors=True)


async def test_away_means_retryable_and_a_reason():
    async with Chroma(ChromaSettings(port=free_port())) as chroma:
        with pytest.raises(RetryableError, match="cannot be reached"):
            await chroma.count(Target("default_database", "any"))
        assert "cannot be reached" in chroma.status()


NO_COLLECTION = '{"id": "abc", "name": "abc", "tenant": "default_tenant", "database": "default_database"}'


@pytest.mark.parametrize(
    "body",
    [
        "<html><title>Back soon</title></html>",
        "",
        "{}",
        '{"status": "ok"}',
        "[]",
        "[1]",
        "null",
        '"OK"',
        "true",
        NO_COLLECTION,
    ],
)
async def test_what_is_no_chroma_is_waited_for(body):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body)

    target = Target("default_database", "abc")
    with serve(answer) as url:
        async with Chroma(ChromaSettings(port=int(url.rpartition(":")[2]))) as chroma:
            assert "is no Chroma: check chroma.host" in await chroma.look()
            for call in (
                chroma.write(target, [], rows(0, 1), NOTHING),
                chroma.open_collection(target),
                chroma.count(target),
            ):
                with pytest.raises(RetryableError, match="is no Chroma"):
                    await call


@pytest.mark.parametrize("body", ["{}", '{"max_batch_size": "many"}', "[]", "null", '"OK"', "true", "5"])
async def test_what_takes_the_place_of_a_chroma_in_use_is_waited_for(chroma_server, target, body):
    proxy, instead = FailingProxy(chroma_server), True

    async def answer(request: web.Request) -> web.Response:
        finds = request.path.endswith(target.collection)
        return web.Response(text=body) if instead and not finds else await proxy.answer(request)

    with serve(answer) as url:
        async with Chroma(ChromaSettings(port=int(url.rpartition(":")[2]))) as behind:
            for call in (behind.write(target, [], rows(0, 1), NOTHING), behind.get(target, ["row-0"])):
                with pytest.raises(RetryableError, match="is no Chroma"):
                    await call
                assert "is no Chroma" in behind.status()
            instead = False
            await behind.write(target, [], rows(0, 1), NOTHING)
            assert await behind.count(target) == 1


async def test_a_server_that_never_answers_is_given_up_after_the_time_limit():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = ChromaSettings(port=deaf.getsockname()[1], timeout_s=0.2)
        async with Chroma(settings) as chroma:
            with pytest.raises(RetryableError, match=r"did not answer within 0\.2 s"):
                await chroma.database_exists("any")


async def test_a_collection_can_record_where_its_queries_are_embedded(chroma, fresh_name):
    target = Target("default_database", fresh_name)
    await chroma.open_collection(target, CollectionShape(QueryFunction("huggingface", "http://127.0.0.1:9/v1")))
    import chromadb

    client = await chromadb.AsyncHttpClient(chroma.settings.host, chroma.settings.port)
    recorded = (await client.get_collection(fresh_name)).configuration_json["embedding_function"]
    assert recorded["name"] == "huggingface_server"
    assert recorded["config"]["url"] == "http://127.0.0.1:9/v1/query"


async def recorded(chroma, name):
    import chromadb

    client = await chromadb.AsyncHttpClient(chroma.settings.host, chroma.settings.port)
    return (await client.get_collection(name)).configuration_json["embedding_function"]


async def test_what_a_collection_records_follows_the_daemon_but_not_against_its_owner(chroma, fresh_name):
    target = Target("default_database", fresh_name)
    here = f"http://127.0.0.1:9{queries_path(target)}"
    await chroma.open_collection(target)
    await chroma.record_queries(target, QueryFunction("huggingface", here))
    assert (await recorded(chroma, fresh_name))["config"]["url"] == f"{here}/query"
    moved = QueryFunction("ollama", here.replace(":9", ":10"), "m")
    await chroma.open_collection(target, CollectionShape(moved))
    assert await recorded(chroma, fresh_name) == function_of(moved)
    own = QueryFunction("huggingface", "http://127.0.0.1:8080/embed")
    changes = {"hnsw": None, "spann": None, "embedding_function": function_of(own)}
    known = await chroma.collection_id(target)
    await chroma._connected().change(target, chroma.settings.tenant, known, {"new_configuration": changes})
    await chroma.open_collection(target, CollectionShape(moved))
    assert await recorded(chroma, fresh_name) == function_of(own)
    with pytest.raises(NotFoundError):
        await chroma.record_queries(replace(target, collection=f"{fresh_name}-none"), moved)
