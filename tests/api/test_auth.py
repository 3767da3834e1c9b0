import uuid

import pytest

from syncd.api.application import routes
from syncd.api.route import Access
from syncd.api.shapes import SourceShapes
from syncd.model import Embedding, Target
from syncd.sources.registry import TYPES

GUARDED = [route for route in routes(SourceShapes.of(TYPES)) if route.access in (Access.TOKEN, Access.ADMIN)]
ID = str(uuid.uuid4())
WRONG_TOKENS = {
    "none": None,
    "empty": "",
    "unknown": "sk_00_abc",
    "long": "x" * 5000,
    "no ascii": "sk_\udcff",
    "injection": "' OR 1=1 --",
}


def filled(route):
    return (
        route.path.replace("{source_id}", ID)
        .replace("{invocation_id}", ID)
        .replace("{token_id}", "x")
        .replace("{credential_id}", "x")
        .replace("{webhook_name}", "x")
    )


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.operation_id)
async def test_every_guarded_route_refuses_a_missing_or_wrong_token(api, route):
    for name, token in WRONG_TOKENS.items():
        status, answer = await api.call(route.method, filled(route), token=token)
        assert (status, answer["error"]) == (401, "unauthorized"), name


async def test_health_and_the_description_need_no_token(api):
    assert await api.get("/health", token=None) == (200, {"status": "ok"})
    status, told = await api.get("/", token=None)
    assert (status, told["name"], told["openapi"]) == (200, "syncd", "/openapi.json")
    assert (await api.get("/openapi.json", token=None))[0] == 200


async def test_a_revoked_token_is_useless_at_once(api, store):
    token = await store.tokens.create("short-lived")
    assert (await api.get("/api/v1/sources", token=token))[0] == 200
    (ident,) = [it.id for it in await store.tokens.list() if it.name == "short-lived"]
    assert await api.call("DELETE", f"/api/v1/tokens/{ident}") == (204, None)
    assert (await api.get("/api/v1/sources", token=token))[0] == 401


async def test_a_scoped_token_sees_and_touches_its_databases_only(api, store, chroma):
    await chroma.create_database("api-tests-other")
    theirs = await api.make_source(database="api-tests-other")
    theirs_run = await api.make_invocation(theirs)
    ours = await api.make_source()
    token = await store.tokens.create("scoped", frozenset({api.database}))

    async def status_of(method, path, body=None):
        return (await api.call(method, path, token=token, **({} if body is None else {"json": body})))[0]

    github = {"github": {"repository": "a/b"}}
    target = {"target_collection_name": "docs"}
    assert await status_of("POST", "/api/v1/sources", {"database_name": "api-tests-other", **github}) == 403
    assert await status_of("POST", "/api/v1/sources", {"database_name": "no-such", **github}) == 403
    assert await status_of("GET", f"/api/v1/sources/{theirs}") == 403
    assert await status_of("DELETE", f"/api/v1/sources/{theirs}") == 403
    assert await status_of("POST", f"/api/v1/sources/{theirs}/invocations", target) == 403
    assert await status_of("POST", f"/api/v1/sources/{theirs}/invocations/latest-by-keys", {"object_keys": []}) == 403
    assert await status_of("GET", "/api/v1/sources?database_name=api-tests-other") == 403
    assert await status_of("GET", "/api/v1/invocations?database_name=api-tests-other") == 403
    assert await status_of("GET", f"/api/v1/invocations?source_id={theirs}") == 403
    for method, suffix in (
        ("GET", ""),
        ("PUT", ""),
        ("GET", "/documents"),
        ("POST", "/retry"),
        ("POST", "/confirm-deletes"),
    ):
        assert await status_of(method, f"/api/v1/invocations/{theirs_run}{suffix}") == 403, suffix
    search = {"query": "x", "database_name": "api-tests-other", "collection_name": "docs"}
    assert await status_of("POST", "/api/v1/search", search) == 403
    assert await status_of("GET", "/api/v1/tokens") == 403
    assert await status_of("POST", "/api/v1/tokens", {"name": "more"}) == 403
    assert await status_of("DELETE", "/api/v1/tokens/x") == 403

    assert await status_of("GET", f"/api/v1/sources/{ours}") == 200
    _, sources = await api.get("/api/v1/sources", token=token)
    assert [it["id"] for it in sources] == [ours]
    _, invocations = await api.get("/api/v1/invocations", token=token)
    assert invocations == []
    assert (await store.invocations.get(theirs_run)).state == "pending"


async def test_a_scoped_token_is_not_told_of_queues_and_sources_that_may_be_others(api, store):
    scoped = await store.tokens.create("scoped", frozenset({api.database}))
    _, all_of_it = await api.get("/api/v1/status")
    _, part = await api.get("/api/v1/status", token=scoped)
    assert all_of_it.keys() - part.keys() == {"queues", "lags"}
    assert (all_of_it["chroma"]["port"], part["chroma"]) == (8000, {})


async def test_tokens_are_made_shown_once_and_listed_without_their_secret(api):
    status, made = await api.post("/api/v1/tokens", {"name": "ci", "databases": [api.database]})
    assert status == 201
    assert (await api.get("/api/v1/sources", token=made["token"]))[0] == 200
    _, listed = await api.get("/api/v1/tokens")
    assert [(it["name"], it["databases"]) for it in listed] == [("tests", None), ("ci", [api.database])]
    assert made["token"] not in str(listed)
    for wrong in ({}, {"name": ""}, {"name": "x", "databases": []}, {"name": "x", "databases": "all"}):
        assert (await api.post("/api/v1/tokens", wrong))[0] == 400


async def test_an_administrators_token_is_made_for_nobody_who_did_not_ask_for_it(api):
    for wrong, near in (({"database": ["a"]}, "'databases'"), ({}, "null"), ({"Databases": ["a"]}, "'databases'")):
        status, answer = await api.post("/api/v1/tokens", {"name": "x", **wrong})
        assert status == 400
        assert near in answer["message"]
    assert (await api.post("/api/v1/tokens", {"name": "an administrator's", "databases": None}))[0] == 201
    assert [it["name"] for it in (await api.get("/api/v1/tokens"))[1]] == ["tests", "an administrator's"]


async def test_embedding_queries_needs_a_token_unless_bound_to_loopback(api_with):
    body, path = {"inputs": ["a", "b"]}, "/embed/api-tests/docs/query"
    async with api_with() as api:
        assert (await api.post(path, body, token=None))[0] == 401
        bearer = {"authorization": f"Bearer {api.token}"}
        assert (await api.post(path, body, token=None, headers=bearer))[0] == 200
        assert (await api.post("/api/v1/sources", {}, token=None, headers=bearer))[0] == 401
    async with api_with(loopback=True) as api:
        await api.store.collections.open(Target(api.database, "docs"), Embedding())
        assert await api.post(path, body, token=None) == (200, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        assert (await api.get("/api/v1/sources", token=None))[0] == 401
