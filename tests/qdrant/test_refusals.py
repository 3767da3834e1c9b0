"""Qdrant's errors say what to do next."""

import json

import pytest
from aiohttp import web

from syncd.errors import RetryableError
from syncd.model import Target
from syncd.qdrant.client import Qdrant
from syncd.qdrant.connection import QdrantSettings
from tests.serving import serve


@pytest.mark.parametrize(
    ("wait", "waits_s"),
    [
        ("7", 7),
        ("1.5", 1.5),
        ("Mon, 01 Jan 2125 00:00:00 GMT", 300),
        ("99999999", 300),
        ("9" * 5000, 300),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("said", ["slow down", {"error": {"code": 1}}, None])
async def test_whoever_asks_too_often_waits_for_as_long_as_is_asked_within_reason(wait, waits_s, said):
    async def answer(request: web.Request) -> web.Response:
        body = json.dumps({"status": said if isinstance(said, dict) else {"error": said}})
        return web.Response(status=429, text=body, headers={"Retry-After": wait})

    with serve(answer) as url:
        async with Qdrant(QdrantSettings(url)) as qdrant:
            assert ("asked too often" if wait else "Qdrant answers") in await qdrant.look()
            with pytest.raises(RetryableError) as caught:
                await qdrant.collection_id(Target("default_database", "abc"))
    assert caught.value.retry_after_s == waits_s


@pytest.mark.parametrize(
    "body",
    [
        b"<html><title>Back soon</title></html>",
        b"",
        b"\xff\xfe\xfd",
        b"{}",
        b"[]",
        b"null",
        b'"OK"',
        b"true",
        b"5",
        b"[" * 100_000,
        b'{"result": null, "status": "ok", "time": 0}',
        b'{"result": {}, "status": "ok", "time": 0}',
        b'{"title": "qdrant", "version": "1.19.0"}',
    ],
)
async def test_what_is_no_qdrant_is_waited_for(body):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    with serve(answer) as url:
        async with Qdrant(QdrantSettings(url)) as qdrant:
            assert "is no Qdrant: check qdrant.url" in await qdrant.look()
            with pytest.raises(RetryableError, match="is no Qdrant"):
                await qdrant.count(Target("default_database", "abc"))


async def test_a_version_of_any_length_is_read():
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"title": "qdrant", "version": f"{'9' * 5000}.0", "result": {"exists": True}})

    with serve(answer) as url:
        async with Qdrant(QdrantSettings(url)) as qdrant:
            assert await qdrant.look() is None
