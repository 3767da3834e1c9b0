"""Without a token: only for this machine's own programs, and for no page that has its name lead here."""

import anyio
import pytest
from aiohttp import ClientSession, UnixConnector

from syncd.api import ApiServer, create_app
from syncd.api.application import routes
from syncd.api.route import Access
from syncd.api.shapes import SourceShapes
from syncd.model import Embedding, Target
from syncd.runtime.sockets import bound
from syncd.sources.registry import TYPES

OPEN = [route for route in routes(SourceShapes.of(TYPES)) if route.access in (Access.OPEN, Access.LOCAL)]
OWN = [
    "localhost",
    "LOCALHOST:8787",
    "localhost.",
    "127.0.0.1:1",
    "127.8.8.8",
    "[::1]:8787",
    "syncd.example.com",
    "10.0.0.7:80",
]
FOREIGN = ["evil.example", "evil.example:8787", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.8", "0.0.0.0", "", "[", "u@localhost", "localhost/x"]  # fmt: skip


@pytest.fixture
async def local(api_with):
    async with api_with(loopback=True, hosts=frozenset({"syncd.example.com", "10.0.0.7"})) as api:
        await api.store.collections.open(Target(api.database, "docs"), Embedding())
        yield api


@pytest.mark.parametrize("route", OPEN, ids=lambda route: route.operation_id)
async def test_every_route_without_a_token_refuses_a_foreign_host_and_page(local, route):
    path = (
        route.path.replace("{database}", local.database).replace("{collection}", "docs").replace("{file}", "style.css")
    )
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}):
        status, answer = await local.call(route.method, path, token=None, headers=headers, json={})
        assert (status, answer["error"]) == (403, "forbidden"), headers
    assert (await local.call(route.method, path, token=None, json={}))[0] != 403


@pytest.mark.parametrize("host", OWN)
async def test_loopback_and_what_the_configuration_names_are_this_daemons_own(local, host):
    for headers in ({"host": host}, {"origin": f"https://{host}"}):
        assert (await local.get("/health", token=None, headers=headers))[0] == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_everything_else_is_foreign(local, host):
    assert (await local.get("/health", token=None, headers={"host": host}))[0] in (400, 403)


async def test_a_token_is_good_under_any_name(local):
    headers = {"host": "evil.example"}
    body = {"inputs": "a"}
    assert (await local.post("/embed/api-tests/docs/query", body, headers=headers))[0] == 200
    assert (await local.get("/api/v1/sources", headers=headers))[0] == 200


async def test_off_loopback_probes_may_call_the_machine_as_they_like(api):
    assert (await api.get("/health", token=None, headers={"host": "syncd.cluster.local"}))[0] == 200


async def test_the_private_socket_has_no_name(local, tmp_path):
    async with bound("127.0.0.1", 0) as sockets, anyio.create_task_group() as group:
        await group.start(ApiServer(create_app(local.services), sockets, socket=tmp_path / "s").run)
        async with (
            ClientSession("http://syncd", connector=UnixConnector(str(tmp_path / "s"))) as session,
            session.get("/health") as answer,
        ):
            assert answer.status == 200
        group.cancel_scope.cancel()
