"""The list of a collection's documents, page by page, as the real API gives it."""

import aiohttp
import pytest

from syncd.cli import documents
from syncd.cli.client import Client
from syncd.model import DocumentState, Embedding, Target
from syncd.store.changes import Removal
from tests.api.conftest import api, api_with, chroma, database, store

__all__ = ["api", "api_with", "chroma", "database", "store"]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(documents, "LIST_PAGE_SIZE", 2)


async def put(api, keys: str) -> list[str]:
    """Leave documents out of a collection that have these keys, as many of one key from as many sources; return the sources."""
    record = await api.store.collections.open(Target(api.database, "docs"), Embedding(model="hash"))
    sources = [await api.make_source() for _ in range(max(map(keys.count, keys), default=0))]
    for number, key in enumerate(keys):
        source = sources[keys[:number].count(key)]
        removal = Removal(record.id, source, key, "1", "made", DocumentState.SKIPPED, "binary")
        await api.store.documents.stage([removal])
    return sources


async def listed(api, after_a_page=None) -> list[tuple[str, str]]:
    """Return (key, source) of all documents that are listed; something may happen after each page."""
    async with aiohttp.ClientSession(api.url, headers={"x-chroma-token": api.token}) as session:
        client = Client(session, api.url)
        get = client.get

        async def get_page(path, **params):
            page = await get(path, **params)
            if after_a_page:
                await after_a_page(page)
            return page

        client.get = get_page
        wanted = {"database_name": api.database, "collection_name": "docs"}
        return [(one["key"], one["source_id"]) async for one in documents._every(client, wanted)]


@pytest.mark.parametrize("keys", ["", "a", "ab", "abc", "aaab", "abbbbb", "aaaaaaa"])
async def test_every_document_is_listed_once_however_many_have_one_key(keys, api):
    sources = await put(api, keys)
    found = await listed(api)
    assert [key for key, _ in found] == list(keys)
    assert set(found) == {(key, source) for key in set(keys) for source in sources[: keys.count(key)]}


async def test_none_is_missed_when_others_go_while_it_is_listed(api):
    await put(api, "abcdefgh")

    async def remove_the_first(page):
        first = [(one["key"],) for one in page[:1]]
        await api.store.database.write(lambda c: c.executemany("DELETE FROM documents WHERE key = ?", first))

    assert "".join(key for key, _ in await listed(api, remove_the_first)) == "abcdefgh"
