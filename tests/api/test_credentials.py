from tests.api.test_sources import KEYS, S3

NEW = {"aws_access_key_id": "AKIB", "aws_secret_access_key": "another-secret"}


async def test_keys_are_listed_with_their_sources_and_never_shown(api):
    source = await api.make_source(s3={**S3, **KEYS})
    status, (found,) = await api.get("/api/v1/credentials")
    assert status == 200
    assert found.pop("stored_at")
    assert found == {"id": 1, "database_name": api.database, "kind": "aws", "sources": [source]}


async def test_a_key_is_rotated_whole_and_its_sources_get_the_new_one(api, store):
    source = await api.make_source(s3={**S3, **KEYS})
    for wrong in ({}, {"token": "x"}, {"aws_access_key_id": "AKIB"}, {**NEW, "token": "x"}):
        assert (await api.post("/api/v1/credentials/1/rotate", wrong))[0] == 400
    woken = api.woken
    assert await api.post("/api/v1/credentials/1/rotate", NEW) == (204, None)
    assert api.woken == woken + 1
    record = await store.sources.get(source)
    opened = await api.services.sources.open(record)
    assert opened.settings.endpoint.key.secret_access_key == "another-secret"


async def test_the_origin_that_a_git_token_is_for_outlives_its_rotation(api, store):
    await store.credentials.add(api.database, "git", {"token": "old-token", "origin": "https://git.example.com"})
    assert (await api.post("/api/v1/credentials/1/rotate", {"token": "new-token"}))[0] == 204
    assert await store.credentials.get(1, api.database) == {"token": "new-token", "origin": "https://git.example.com"}


async def test_keys_of_object_stores_are_rotated_by_what_the_api_calls_them(api, store):
    for kind, part in (("gcs", "service_account_key"), ("azure_blob", "credential")):
        number = await store.credentials.add(api.database, kind, {"value": "old", "endpoint": "https://example.com"})
        assert (await api.post(f"/api/v1/credentials/{number}/rotate", {part: "new"}))[0] == 204
        assert await store.credentials.get(number, api.database) == {"value": "new", "endpoint": "https://example.com"}


async def test_copies_of_a_key_are_rotated_with_it_in_the_databases_of_the_caller(api, store):
    for database in ("elsewhere", api.database, "a third"):
        await store.credentials.add(database, "aws", KEYS)
    await store.credentials.add("elsewhere", "aws", {**KEYS, "aws_secret_access_key": "of its own"})
    token = await store.tokens.create("scoped", frozenset({api.database, "a third"}))
    assert (await api.post("/api/v1/credentials/3/rotate", NEW, token=token))[0] == 204
    assert await store.credentials.get(2, api.database) == await store.credentials.get(3, "a third") == NEW
    assert await store.credentials.get(1, "elsewhere") == KEYS
    newest = {**NEW, "aws_secret_access_key": "newest"}
    await store.credentials.add("elsewhere", "aws", NEW)
    assert (await api.post("/api/v1/credentials/2/rotate", newest))[0] == 204
    assert await store.credentials.get(5, "elsewhere") == await store.credentials.get(3, "a third") == newest
    assert (await store.credentials.get(4, "elsewhere"))["aws_secret_access_key"] == "of its own"


async def test_a_key_in_use_is_kept_and_an_unused_one_deleted(api, store):
    source = await api.make_source(s3={**S3, **KEYS})
    status, answer = await api.call("DELETE", "/api/v1/credentials/1")
    assert (status, "sources use credential 1" in answer["message"]) == (409, True)
    assert (await api.call("DELETE", f"/api/v1/sources/{source}"))[0] == 204
    assert await api.call("DELETE", "/api/v1/credentials/1") == (204, None)
    assert await store.credentials.list() == []
    assert (await api.call("DELETE", "/api/v1/credentials/1"))[0] == 404


async def test_keys_of_other_databases_do_not_exist_for_a_scoped_token(api, store):
    await store.credentials.add("elsewhere", "aws", KEYS)
    await store.credentials.add(api.database, "aws", KEYS)
    token = await store.tokens.create("scoped", frozenset({api.database}))
    assert [it["id"] for it in (await api.get("/api/v1/credentials", token=token))[1]] == [2]
    assert (await api.post("/api/v1/credentials/1/rotate", NEW, token=token))[0] == 404
    assert (await api.call("DELETE", "/api/v1/credentials/1", token=token))[0] == 404
    assert (await api.call("DELETE", "/api/v1/credentials/2", token=token))[0] == 204
    assert await store.credentials.get(1, "elsewhere") == KEYS
