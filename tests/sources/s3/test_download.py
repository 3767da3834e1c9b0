"""Bodies over a line that breaks in every way."""

import gzip
from dataclasses import replace

import pytest
from aiohttp import web

from syncd.errors import PermanentError, RetryableError
from syncd.sources.objects.download import ObjectBody
from syncd.sources.objects.transport import ChangedError, Transport
from syncd.sources.s3.bucket import Bucket, ObjectState
from syncd.sources.s3.client import Connections
from syncd.sources.s3.download import BucketObject
from tests.aws_servers import Aws, Fault, FaultyProxy, first_gets
from tests.sources.s3.buckets import FAST, Place, place

BODY = bytes(range(256)) * 4000


class Reader:
    """Downloads one object through a proxy."""

    def __init__(self, place: Place, proxy: FaultyProxy, connections: Connections) -> None:
        self.place, self.proxy = place, proxy
        self.bucket = Bucket(place.bucket, connections.s3(place.aws.endpoint(proxy.url)))

    async def state(self, key: str = "key") -> ObjectState:
        state = await self.bucket.head(key)
        assert state is not None
        return state

    async def read(self, state: ObjectState) -> bytes:
        async with ObjectBody(BucketObject(self.bucket, state)).open() as file:
            return file.read()


async def downloaded(aws: Aws, fault: Fault, **transport: object) -> tuple[bytes, int]:
    """Return what a download over a faulty line gives, and how many requests it took after the HEAD."""
    connections = Connections(replace(FAST, **transport))
    async with place(aws) as p, FaultyProxy(aws.url).running() as proxy:
        await p.put("key", BODY)
        reader = Reader(p, proxy, connections)
        state = await reader.state()
        proxy.fault, proxy.requests = fault, 0
        try:
            return await reader.read(state), proxy.requests
        finally:
            await connections.close()


@pytest.mark.parametrize("fault", ["cut", "reset", "slow", "500 InternalError", "503 SlowDown", "400 ExpiredToken"])
async def test_a_broken_line_is_mended(aws: Aws, fault: str):
    content, requests = await downloaded(aws, first_gets(3, fault))
    assert content == BODY
    assert requests == (1 if fault == "slow" else 4)


async def test_a_silent_line_is_given_up_and_tried_again(ministack: Aws):
    content, requests = await downloaded(ministack, first_gets(1, "stall"), stall_timeout_s=0.5)
    assert (content, requests) == (BODY, 2)


async def test_large_bodies_come_in_ranges(aws: Aws):
    content, requests = await downloaded(aws, lambda _: None, range_size_bytes=300_000)
    assert (content, requests) == (BODY, 4)


async def test_what_has_arrived_is_not_fetched_again(ministack: Aws):
    ranges: list[str] = []
    cut = first_gets(2, "cut")

    def fault(request: web.Request) -> str | None:
        ranges.append(request.headers.get("Range", ""))
        return cut(request)

    content, _ = await downloaded(ministack, fault)
    assert content == BODY
    assert ranges[0] == ""
    starts = [int(r.removeprefix("bytes=").partition("-")[0]) for r in ranges[1:]]
    assert 0 < starts[0] < starts[1]


async def test_a_server_without_ranges_is_read_from_the_start_again(ministack: Aws):
    faults = iter(["cut", "rangeless"])
    content, _ = await downloaded(ministack, lambda _: next(faults, None))
    assert content == BODY


async def test_a_line_that_never_mends_is_a_retryable_error(ministack: Aws):
    with pytest.raises(RetryableError, match="InternalError"):
        await downloaded(ministack, lambda _: "500 InternalError", attempts=3)
    with pytest.raises(RetryableError, match="connection failed"):
        await downloaded(
            ministack, lambda request: "cut" if request.headers.get("Range", "") == "" else "reset", attempts=3
        )


async def test_a_forbidden_object_is_a_permanent_error(ministack: Aws):
    with pytest.raises(PermanentError, match="access denied"):
        await downloaded(ministack, lambda _: "403 AccessDenied")


@pytest.mark.parametrize("heeds_if_match", [True, False])
async def test_an_object_that_changes_meanwhile_is_never_half_old_and_half_new(aws: Aws, heeds_if_match: bool):
    connections = Connections(FAST)
    async with place(aws) as p, FaultyProxy(aws.url).running() as proxy:
        await p.put("key", BODY)
        reader = Reader(p, proxy, connections)
        state = await reader.state()
        await p.put("key", BODY[::-1])
        proxy.fault = lambda _: None if heeds_if_match else "rangeless"
        with pytest.raises(ChangedError):
            await reader.read(state)
        assert await reader.read(await reader.state()) == BODY[::-1]
        await p.delete("key")
        with pytest.raises(ChangedError, match="removed"):
            await reader.read(state)
    await connections.close()


async def test_an_object_above_the_limit_is_refused_before_a_byte_is_read(ministack: Aws):
    connections = Connections(replace(FAST, max_object_size_bytes=len(BODY) - 1))
    async with place(ministack) as p, FaultyProxy(ministack.url).running() as proxy:
        await p.put("key", BODY)
        reader = Reader(p, proxy, connections)
        state = await reader.state()
        proxy.requests = 0
        with pytest.raises(PermanentError, match="too large: 1,024,000 bytes"):
            await reader.read(state)
        assert proxy.requests == 0
    await connections.close()


async def test_a_listing_and_a_look_agree_on_versions(aws: Aws):
    connections = Connections(Transport())
    async with place(aws) as p:
        await p.put("key", BODY)
        bucket = Bucket(p.bucket, connections.s3(aws.endpoint()))
        listed = (await bucket.page("", "")).objects[0]
        looked = await bucket.head("key")
        assert looked is not None
        assert (looked.version, looked.size_bytes) == (listed.version, listed.size_bytes)
    await connections.close()


async def test_small_objects_are_read_up_to_their_limit(ministack: Aws):
    connections = Connections(FAST)
    async with place(ministack) as p, FaultyProxy(ministack.url, first_gets(2, "cut")).running() as proxy:
        await p.put("key", BODY)
        bucket = Bucket(p.bucket, connections.s3(ministack.endpoint(proxy.url)))
        found = await bucket.small("key", 1000)
        assert found is not None
        assert found[1] == BODY[:1001]
        assert await bucket.small("other", 1000) is None
    await connections.close()


@pytest.mark.parametrize("range_size_bytes", [1 << 20, 700], ids=["at once", "in ranges"])
async def test_an_object_stored_compressed_is_read_as_it_was_before(aws: Aws, range_size_bytes: int):
    connections = Connections(replace(FAST, range_size_bytes=range_size_bytes))
    async with place(aws) as p, FaultyProxy(aws.url).running() as proxy:
        await p.s3.put_object(Bucket=p.bucket, Key="key", Body=gzip.compress(BODY), ContentEncoding="gzip")
        reader = Reader(p, proxy, connections)
        try:
            assert await reader.read(await reader.state()) == BODY
            _, small = await reader.bucket.small("key", len(BODY)) or (None, b"")
        finally:
            await connections.close()
    assert small == BODY
