from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from syncd.cli import documents
from syncd.cli.client import Client

WANTED = {"database_name": "default_database", "collection_name": "docs"}


@asynccontextmanager
async def listing(keys: list[str], between_pages=lambda: None):
    """Yield a client of an API that lists documents with these keys, of sources numbered in their order."""

    async def page(request: web.Request) -> web.Response:
        assert request.query["collection_name"] == "docs"
        found = [{"key": key, "source": number} for number, key in enumerate(keys)]
        later = [one for one in found if one["key"] >= request.query.get("from_key", "")]
        start = int(request.query["offset"])
        answer = web.json_response(later[start : start + int(request.query["limit"])])
        between_pages()
        return answer

    application = web.Application()
    application.router.add_get("/api/v1/documents", page)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            yield Client(session, "here")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "keys", [[], ["a"], ["a", "b"], ["a", "b", "c"], ["a", "a", "a", "b"], ["a", "b", "b", "b", "b", "b"], ["a"] * 7]
)
async def test_every_document_is_listed_once_however_many_have_one_key(keys, monkeypatch):
    monkeypatch.setattr(documents, "LIST_PAGE_SIZE", 2)
    async with listing(keys) as client:
        found = [one async for one in documents._every(client, WANTED)]
    assert [(one["key"], one["source"]) for one in found] == [(key, number) for number, key in enumerate(keys)]


async def test_none_is_missed_when_others_go_while_it_is_listed(monkeypatch):
    monkeypatch.setattr(documents, "LIST_PAGE_SIZE", 2)
    keys = list("abcdefgh")

    def go() -> None:
        keys.pop(0)

    async with listing(keys, go) as client:
        assert "".join([one["key"] async for one in documents._every(client, WANTED)]) == "abcdefgh"
