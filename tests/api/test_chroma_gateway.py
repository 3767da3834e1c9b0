"""Chroma's own client works through the daemon with the daemon's tokens, and stays within what they cover."""

import asyncio
from uuid import uuid4

import aiohttp
import anyio
import chromadb
import pytest
from anyio import to_thread
from chromadb.api.shared_system_client import SharedSystemClient

from syncd.api import create_app
from syncd.api.application import ApiServer
from syncd.api.chroma_gateway import ChromaGateway
from tests.api.conftest import running_server


@pytest.fixture
async def gateway(api):
    """The address of an API that also passes on what is Chroma's."""
    app = create_app(api.services, gateway=ChromaGateway(api.services.chroma.settings))
    async with running_server(lambda sockets: ApiServer(app, sockets)) as sockets:
        yield sockets.address


def client_of(gateway, token, database):
    """Chroma's client; those of one address would share a token."""
    SharedSystemClient.clear_system_cache()
    host, port = gateway
    return chromadb.HttpClient(host, port, headers={"X-Chroma-Token": token}, database=database)


async def token_for(store, name, databases, **more):
    return await store.tokens.create(name, databases and frozenset(databases), **more)


async def test_an_ordinary_client_does_its_work_in_a_database_of_its_token(api, store, gateway):
    token = await token_for(store, "scoped", [api.database])

    def work():
        client = client_of(gateway, token, api.database)
        assert client.get_user_identity().databases == [api.database]
        collection = client.create_collection(f"made-{uuid4().hex}")
        collection.add(ids=["a", "b"], embeddings=[[1.0, 0.0], [0.0, 1.0]], documents=["x" * 70_000, "two"])
        assert collection.count() == 2
        assert collection.query(query_embeddings=[[0.0, 1.0]], n_results=1)["ids"] == [["b"]]
        assert collection.get(ids=["a"])["documents"] == ["x" * 70_000]
        collection.modify(name=f"{collection.name}-renamed")
        assert collection.name in [one.name for one in client.list_collections()]
        collection.delete(ids=["a"])
        client.delete_collection(collection.name)
        with pytest.raises(chromadb.errors.NotFoundError):
            client.get_collection(collection.name)

    await to_thread.run_sync(work)


async def test_a_token_reaches_no_collection_of_another_database_by_name_or_id(api, store, gateway):
    admin, token = await token_for(store, "all", None), await token_for(store, "scoped", [api.database])
    tenant = f"http://{gateway[0]}:{gateway[1]}/api/v2/tenants/default_tenant"
    own, theirs = f"{tenant}/databases/{api.database}", f"{tenant}/databases/default_database"

    async def called(method, url, token=token, **more):
        async with api._session.request(method, url, headers={"x-chroma-token": token}, **more) as answer:
            return answer.status, await answer.json()

    name = f"foreign-{uuid4().hex}"
    status, foreign = await called("POST", f"{theirs}/collections", token=admin, json={"name": name})
    assert status == 200
    ident = foreign["id"]
    assert (await called("POST", f"{own}/collections", token=admin, json={"name": ident}))[0] == 200
    forms = (ident, ident.upper(), ident.replace("-", ""), f"%7B{ident}%7D", f"urn:uuid:{ident}")
    for method, url, refusal in (
        *(("POST", f"{own}/collections/{form}/get", 404) for form in forms),
        *(("GET", f"{own}/collections/{form}", 404) for form in forms),
        *(("DELETE", f"{own}/collections/{form}", 404) for form in forms),
        ("POST", f"{theirs}/collections/{ident}/get", 403),
        ("GET", f"{theirs}/collections/{name}", 403),
        ("POST", f"{own}/collections/{ident}/get", 404),
        ("POST", f"{own}/collections/{ident}/delete", 404),
        ("PUT", f"{own}/collections/{ident}", 404),
        ("DELETE", f"{own}/collections/{ident}", 404),
        ("GET", f"{own}/collections/by-id/{ident}", 404),
        ("GET", f"{own}/collections/{name}", 404),
        ("POST", f"{own}/collections/{ident}/functions/attach", 403),
        ("GET", f"{tenant}/databases/{api.database}%2f..%2fdefault_database/collections", 404),
        ("POST", f"{tenant}/databases", 403),
        ("DELETE", own, 403),
        ("GET", tenant.replace("default_tenant", "other"), 403),
        ("POST", tenant.replace("tenants/default_tenant", "reset"), 403),
    ):
        assert (await called(method, url, json={} if method != "GET" else None))[0] == refusal, (method, url)
    assert [one["name"] for one in (await called("GET", f"{tenant}/databases"))[1]] == [api.database]
    assert (await called("POST", tenant.replace("tenants/default_tenant", "reset"), token=admin))[0] == 403
    assert (await called("GET", f"{tenant}/databases", token="wrong"))[0] == 401
    assert (await called("DELETE", f"{theirs}/collections/{name}", token=admin))[0] == 200


async def test_a_token_that_may_only_read_reads(api, store, gateway):
    admin = await token_for(store, "all", None)
    token = await token_for(store, "reader", [api.database], access="read")

    def work():
        owner = client_of(gateway, admin, api.database)
        made = owner.create_collection(f"read-{uuid4().hex}")
        made.add(ids=["a"], embeddings=[[1.0]], documents=["one"])
        client = client_of(gateway, token, api.database)
        collection = client.get_collection(made.name)
        assert collection.query(query_embeddings=[[1.0]])["ids"] == [["a"]]
        for change in (
            lambda: collection.add(ids=["b"], embeddings=[[1.0]], documents=["two"]),
            lambda: client.delete_collection(made.name),
        ):
            with pytest.raises(Exception, match="may only read"):
                change()
        owner.delete_collection(made.name)

    await to_thread.run_sync(work)


async def test_a_name_like_an_operations_lets_no_reader_delete_or_change(api, store, gateway):
    reader = await token_for(store, "reader", None, access="read")
    scoped = await token_for(store, "scoped", ["search", api.database])
    databases = f"http://{gateway[0]}:{gateway[1]}/api/v2/tenants/default_tenant/databases"
    for token, method, place in (
        (reader, "DELETE", "search"),
        (reader, "DELETE", f"{api.database}/collections/query"),
        (reader, "PUT", f"{api.database}/collections/get"),
        (scoped, "DELETE", "search"),
    ):
        url = f"{databases}/{place}"
        async with api._session.request(method, url, headers={"x-chroma-token": token}, json={}) as answer:
            assert answer.status == 403, (method, place)


async def test_no_filter_is_so_large_that_chroma_dies_of_it(api, store, gateway):
    token = await token_for(store, "scoped", [api.database])
    own = f"http://{gateway[0]}:{gateway[1]}/api/v2/tenants/default_tenant/databases/{api.database}/collections"
    headers = {"x-chroma-token": token}

    async def called(method, url, **more):
        async with api._session.request(method, url, headers=headers, **more) as answer:
            return answer.status, await answer.json()

    status, made = await called("POST", own, json={"name": f"filtered-{uuid4().hex}"})
    assert status == 200
    url = f"{own}/{made['id']}"
    assert (await called("POST", f"{url}/add", json={"ids": ["a"], "embeddings": [[1.0]], "metadatas": [{"a": 1}]}))[
        0
    ] < 300

    def any_of(count):
        return {"$or": [{"a": {"$eq": number}} for number in range(count)]}

    for body in ({"where": any_of(20_000)}, {"where_document": {"$or": [{"$contains": "x"}] * 20_000}}):
        for operation in ("get", "delete", "query", "get/"):
            query = {"query_embeddings": [[1.0]]} if operation == "query" else {}
            status, answer = await called("POST", f"{url}/{operation}", json=query | body)
            assert (status, "conditions" in answer["message"]) == (400, True), operation
    assert (await called("POST", f"{url}/get", json={"where": any_of(500)}))[1]["ids"] == ["a"]


async def test_slow_requests_of_one_token_keep_no_other_waiting(api, store, gateway):
    slow, other = [await token_for(store, name, [api.database]) for name in ("slow", "other")]
    own = f"http://{gateway[0]}:{gateway[1]}/api/v2/tenants/default_tenant/databases/{api.database}/collections"
    never, all_begun, waiting = anyio.Event(), anyio.Event(), set(range(120))

    async def dripping(number):
        yield b"{"
        waiting.discard(number)
        if not waiting:
            all_begun.set()
        await never.wait()

    async def send(number):
        headers = {"x-chroma-token": slow, "content-type": "application/json"}
        async with session.post(own, headers=headers, data=dripping(number), expect100=True):
            pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        senders = [asyncio.create_task(send(number)) for number in waiting]
        await all_begun.wait()
        with anyio.fail_after(120):
            async with session.get(own, headers={"x-chroma-token": other}) as answer:
                assert answer.status == 200
        for sender in senders:
            sender.cancel()
