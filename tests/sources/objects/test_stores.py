"""Both clouds are kept in step in the same way: Google's against an emulator, Azure's against a strict server."""

import gzip

import pytest
from aiohttp import web

from syncd.errors import MisconfiguredError, NotFoundError, OvertakenError, PermanentError, RetryableError
from syncd.model import chunk_prefix
from syncd.sources.objects.http import Anonymous
from syncd.sources.objects.listing import KeySelection, ObjectStoreSource
from tests.aws_servers import FaultyProxy, first_gets
from tests.serving import serve
from tests.sources.objects.clouds import Cloud, fresh_cloud
from tests.sources.running import SyncedCollection

ODD_KEYS = ("a b+ü/ä%20&=?#~'\".txt", "zß.txt", "\U0001f600.txt", "dir/b.txt")


async def test_everything_below_the_prefix_is_indexed_once_and_then_only_what_changed(cloud: Cloud):
    await cloud.put_all(*ODD_KEYS)
    await cloud.put("empty.txt", "")
    await cloud.put("folder/", "")
    index, source = SyncedCollection(), cloud.source()
    await index.sync(source)
    assert index.contents == {**{key: f"content of {key}".encode() for key in ODD_KEYS}, "empty.txt": b""}
    address = source.store.address("dir/b.txt")
    (document,) = [document for document in index.documents if document.key == "dir/b.txt"]
    assert document.chunk_prefix == chunk_prefix(address)
    assert document.metadata.items() >= {"object_key": "dir/b.txt"}.items()
    assert document.media_type == "text/plain"
    assert document.changed_at is not None
    assert await index.sync(source) == []
    await cloud.put("dir/b.txt", "new")
    await cloud.delete("zß.txt")
    assert sorted(await index.sync(source)) == ["dir/b.txt", "zß.txt"]
    assert index.contents["dir/b.txt"] == b"new"
    assert "zß.txt" not in index.contents


async def test_prefixes_and_globs_decide_what_is_taken(cloud: Cloud):
    await cloud.put_all("docs/a.md", "docs/b.txt", "docs/old/c.md", "docs-old/d.md", "e.md")
    index = SyncedCollection()
    await index.sync(cloud.source(prefix="docs/", include=["*.md"], exclude=["old/"]))
    assert list(index.contents) == ["docs/a.md"]
    await index.sync(cloud.source(prefix="docs"))
    assert sorted(index.contents) == ["docs-old/d.md", "docs/a.md", "docs/b.txt", "docs/old/c.md"]
    await index.sync(cloud.source(prefix="docs/old/"))
    assert list(index.contents) == ["docs/old/c.md"]


async def test_a_listing_goes_on_over_pages_even_empty_ones(cloud: Cloud):
    keys = [f"{number:02}.txt" for number in range(25)]
    await cloud.put_all(*keys)
    cloud.server.page_size, cloud.server.holds_back = 10, 3
    index = SyncedCollection()
    await index.sync(cloud.source())
    assert sorted(index.contents) == keys
    assert [document.key for document in index.documents] == keys


async def test_a_listing_that_leads_nowhere_ends(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    await cloud.put_all("a.txt")
    index, source = SyncedCollection(), cloud.source()
    await index.sync(source)
    monkeypatch.setattr("syncd.sources.objects.listing.EMPTY_PAGES", 5)
    cloud.server.holds_back = 6
    with pytest.raises(RetryableError, match="leads nowhere"):
        await index.sync(source)
    assert index.contents == {"a.txt": b"content of a.txt"}


async def test_single_keys_are_looked_at_again(cloud: Cloud):
    await cloud.put_all("a.txt", "ab.txt", "b.txt")
    index, source = SyncedCollection(), cloud.source(include=["a*"])
    await index.sync(source)
    await cloud.put("ab.txt", "new")
    await cloud.delete("a.txt")
    await index.sync(source, keys=frozenset({"a.txt", "ab.txt", "b.txt", "never.txt"}))
    assert index.contents == {"ab.txt": b"new"}
    assert [await source.is_gone(key, "c") for key in ("a.txt", "a", "ab.txt", "b.txt")] == [True, True, False, True]


async def test_what_was_replaced_or_removed_since_it_was_listed_is_looked_at_again(cloud: Cloud):
    await cloud.put_all("a.txt", "b.txt")
    source = cloud.source()
    page = await source.store.page("", "", 10)
    await cloud.put("a.txt", "something else")
    await cloud.delete("b.txt")
    for found, said in zip(page.objects, ("was changed", "was removed"), strict=True):
        with pytest.raises(OvertakenError, match=said):
            async with source._document(found).body.open():
                raise AssertionError
    again = [await source._document(found).again() for found in page.objects]
    async with again[0].body.open() as file:
        assert file.read() == b"something else"
    assert again[1].body is None


async def test_gzipped_objects_are_read_as_they_were_before(cloud: Cloud):
    text = b"some text\n" * 5000
    await cloud.put("a.txt", gzip.compress(text), coding="gzip")
    await cloud.put("b.txt", gzip.compress(text)[:100], coding="gzip")
    await cloud.put("c.txt", text, coding="br")
    index = SyncedCollection()
    await index.sync(cloud.source())
    assert index.contents.pop("a.txt") == text
    assert "ends early" in str(index.contents["b.txt"])
    assert "Content-Encoding br" in str(index.contents["c.txt"])


async def test_what_unpacks_to_too_much_or_is_too_large_fails_alone(cloud: Cloud):
    async with fresh_cloud(cloud.server, max_object_size_bytes=10_000) as small:
        await small.put("bomb.txt", gzip.compress(bytes(1_000_000)), coding="gzip")
        await small.put("large.txt", bytes(10_001))
        await small.put("fits.txt", "x" * 10_000)
        index = SyncedCollection()
        await index.sync(small.source())
        assert index.contents.pop("fits.txt") == b"x" * 10_000
        assert "too large once its gzip data is unpacked" in str(index.contents["bomb.txt"])
        assert "too large: 10,001 bytes" in str(index.contents["large.txt"])


@pytest.mark.parametrize("fault", ["cut", "reset", "500 InternalError", "503 ServerBusy"])
async def test_a_broken_line_is_mended(cloud: Cloud, fault: str):
    body = bytes(range(256)) * 2000
    async with fresh_cloud(cloud.server, range_size_bytes=200_000) as ranged:
        await ranged.put("a.bin", body)
        async with FaultyProxy(cloud.server.url).running() as proxy:
            proxy.fault = first_gets(2, fault)
            source = ranged.source(proxy.url)
            (found,) = (await source.store.page("", "", 10)).objects
            assert proxy.requests == 3
            proxy.fault = first_gets(3, fault)
            async with source._document(found).body.open() as file:
                assert file.read() == body
            assert proxy.faults == 5


async def test_a_bucket_that_is_gone_is_an_error_and_never_a_delete(cloud: Cloud):
    await cloud.put_all("a.txt")
    index = SyncedCollection()
    await index.sync(cloud.source())
    cloud.name = "bucket-elsewhere"
    for keys in (None, frozenset({"a.txt"})):
        with pytest.raises(NotFoundError, match="does not exist"):
            await index.sync(cloud.source(), keys=keys)
    assert list(index.contents) == ["a.txt"]


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("401 x", MisconfiguredError, "credential"),
        ("403 x", MisconfiguredError, "access denied"),
        ("400 x", PermanentError, "refused|400"),
        ("302 x", PermanentError, "refused|302"),
    ],
)
async def test_a_refusal_says_what_to_do(cloud: Cloud, fault: str, kind: type[PermanentError], said: str):
    async with FaultyProxy(
        cloud.server.url, lambda request: fault if request.method == "GET" else None
    ).running() as proxy:
        with pytest.raises(kind, match=said):
            await SyncedCollection().sync(cloud.source(proxy.url))
        assert proxy.faults == 1


@pytest.mark.parametrize("text", ["<html>Log in to this network</html>", "{}", "", '{"items": []}', "<Blobs/>"])
async def test_an_answer_that_is_no_listing_is_no_empty_one(cloud: Cloud, text: str):
    async def portal(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    await cloud.put_all("a.txt")
    index = SyncedCollection()
    await index.sync(cloud.source())
    with serve(portal) as url:
        source = ObjectStoreSource(cloud.store(url, Anonymous()), KeySelection.of(None, None, None))
        with pytest.raises(RetryableError, match="unexpected answer"):
            await index.sync(source)
    assert list(index.contents) == ["a.txt"]
