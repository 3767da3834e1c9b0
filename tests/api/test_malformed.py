"""Whatever a stranger sends: an answer in the published shape, never a 5xx."""

import asyncio
import gzip
import json
import zlib

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from syncd.api import ConnectionLimits, requests
from syncd.errors import NotFoundError

GOOD = {"github": {"repository": "octo/cat"}}
JSON = {"content-type": "application/json"}


async def post(api, body, **headers):
    return await api.post("/api/v1/sources", data=body, headers={**JSON, **headers})


BODIES = {
    "empty": b"",
    "no JSON": b"{",
    "not UTF-8": b'{"database_name": "\xff"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "key twice": b'{"database_name": "a", "database_name": "b"}',
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "trailing": b"{} {}",
    "too large": b'{"a": "' + b"x" * (1 << 20) + b'"}',
}


# Each would be taken, were it not for the one thing that is wrong.
EXTRAS = {
    "NaN": b"NaN",
    "Infinity": b"[-Infinity]",
    "number out of range": b"1e999",
    "integer of 5000 digits": b"9" * 5000,
    "key twice": b'{"b": 1, "b": 1}',
    "lone surrogate": b'"\\ud800"',
    "lone surrogate as a key": b'{"\\udfff": 1}',
    "not UTF-8": b'"\xff"',
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "deep enough for what reads it later": b'{"$and":[' * 40 + b"1" + b"]}" * 40,
}


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS.keys())
async def test_json_that_others_would_read_differently_is_400(api, extra):
    body = b'{"database_name": "api-tests", "github": {"repository": "octo/cat"}, "x": %s}'
    assert (await post(api, body % extra))[0] == 400
    assert (await post(api, body % b"1.5"))[0] == 201


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_malformed_body_is_400(api, body):
    status, answer = await post(api, body)
    assert status == 400
    assert answer["error"] == "bad_request"
    assert "\n" not in answer["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a", ""])
async def test_only_json_is_understood(api, kind):
    body = json.dumps({**GOOD, "database_name": api.database}).encode()
    status, answer = await api.post("/api/v1/sources", data=body, headers={"content-type": kind})
    assert (status, answer["error"]) == (400, "bad_request")


async def test_compressed_bodies_are_limited_after_decompression(api):
    bomb = gzip.compress(b" " * 50_000_000)
    assert (await post(api, bomb, **{"content-encoding": "gzip"}))[0] == 400
    good = gzip.compress(json.dumps({**GOOD, "database_name": api.database}).encode())
    assert (await post(api, good, **{"content-encoding": "gzip"}))[0] == 201


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_a_body_that_is_not_compressed_as_it_says_is_400(api, coding):
    body = zlib.compress(b"{}")[:-3] + b"xxxxx" if coding == "deflate" else b"{}"
    assert (await post(api, body, **{"content-encoding": coding}))[0] == 400


async def test_unknown_routes_are_404_in_shape(api):
    for path in (
        "/api",
        "/api/v1/source",
        "/api/v1/sources/",
        "/api/v2/sources",
        "/%2e%2e/etc",
        "/caf%E9",
        "/a%00b",
    ):
        status, answer = await api.get(path)
        assert (status, set(answer)) == (404, {"error", "message"}), path


async def test_wrong_methods_are_405_and_say_what_is_allowed(api):
    for method in ("PATCH", "DELETE", "TRACE", "OPTIONS", "HEAD"):
        status, answer = await api.call(method, "/api/v1/sources")
        assert status == 405
        if method == "HEAD":
            continue
        assert answer["error"] == "method_not_allowed"
        assert "GET, POST" in answer["message"]


async def test_unexpected_exceptions_are_500_in_shape_without_details(api_with):
    async def broken():
        raise ZeroDivisionError("secret detail")

    async with api_with(status=broken) as api:
        status, answer = await api.get("/api/v1/status")
    assert (status, answer["error"]) == (500, "internal_error")
    assert "secret" not in str(answer)
    assert "report it" in answer["message"]


@pytest.mark.parametrize("error", [RecursionError("deep"), ExceptionGroup("tasks", [NotFoundError("no x"), OSError()])])
async def test_a_request_that_meets_a_bug_is_logged_with_its_traceback_and_costs_no_other(api_with, error):
    async def broken():
        raise error

    async with api_with(status=broken) as api:
        with capture_logs() as logged:
            status, answer = await api.get("/api/v1/status")
        assert (status, answer["error"]) == (500, "internal_error")
        (bug,) = [entry for entry in logged if entry["event"] == "bug.contained"]
        assert bug["exc_info"] is error
        assert bug["report"] in answer["message"]
        assert (await api.get("/api/v1/sources"))[0] == 200


async def test_errors_of_ours_that_a_task_group_raises_are_answered_as_without_it(api_with):
    async def missing():
        raise ExceptionGroup("tasks", [NotFoundError("no such thing")])

    async with api_with(status=missing) as api:
        assert await api.get("/api/v1/status") == (404, {"error": "not_found", "message": "no such thing"})


async def raw(api, data):
    """Send bytes and wait until the server closes; return the status, headers and body of its answer."""
    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else None, head, body


RAW = {
    "no HTTP": b"hello\r\n\r\n",
    "odd version": b"GET / HTTP/9.9\r\n\r\n",
    "header without colon": b"GET /health HTTP/1.1\r\nhost: x\r\nodd\r\n\r\n",
    "two lengths": b"POST /api/v1/sources HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    "length and chunks": b"POST /api/v1/sources HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"POST /api/v1/sources HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "long header": b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"x" * 100_000 + b"\r\n\r\n",
    "long path": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "many headers": b"GET /health HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "expectation": b"GET /health HTTP/1.1\r\nhost: x\r\nexpect: coffee\r\nconnection: close\r\n\r\n",
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW.keys())
async def test_what_is_not_http_is_400_in_shape(api, data):
    status, head, body = await raw(api, data)
    assert status == 400
    assert b"application/json" in head
    assert set(json.loads(body)) == {"error", "message"}


@pytest.mark.parametrize("path", [b"/caf\xe9", b"/api/v1/sources?limit=\xff", b"/api/v1/sources/\xff\xfe"])
async def test_raw_bytes_in_the_request_line_are_a_4xx_in_shape(api, path):
    token = api.token.encode()
    head = b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nx-chroma-token: " + token + b"\r\nconnection: close\r\n\r\n"
    status, _, body = await raw(api, head)
    assert status in (400, 404)
    assert set(json.loads(body)) == {"error", "message"}


async def test_a_body_cut_off_is_not_an_error_of_ours(api):
    head = (
        f"POST /api/v1/sources HTTP/1.1\r\nhost: x\r\nx-chroma-token: {api.token}\r\ncontent-type: application/json\r\n"
    )
    for rest in (b"content-length: 100\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\nZZ\r\n"):
        _, writer = await asyncio.open_connection(*api.address)
        writer.write(head.encode() + rest)
        writer.close()
        await writer.wait_closed()
    broken = b"connection: close\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n"
    assert (await raw(api, head.encode() + broken))[0] == 400
    assert (await api.get("/health"))[0] == 200


async def test_a_silent_connection_is_closed(api_with):
    async with api_with(ConnectionLimits(first_request_s=0.05)) as api:
        reader, writer = await asyncio.open_connection(*api.address)
        writer.write(b"GET /health HTTP/1.1\r\n")
        assert await reader.read() == b""
        writer.close()


async def test_100_continue_is_sent_before_the_body_is_read(api):
    body = json.dumps({**GOOD, "database_name": api.database}).encode()
    reader, writer = await asyncio.open_connection(*api.address)
    head = (
        f"POST /api/v1/sources HTTP/1.1\r\nhost: x\r\nx-chroma-token: {api.token}\r\ncontent-type: application/json\r\n"
    )
    writer.write(f"{head}content-length: {len(body)}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(body)
    assert (await reader.read()).startswith(b"HTTP/1.1 201")
    writer.close()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = (
    "database_name",
    "github",
    "s3",
    "web_scrape",
    "folder",
    "file_upload",
    "chunking",
    "embedding",
    "embedding_model",
)
ASKED = ("target_collection_name", "object_key", "custom_id", "metadata", "ref_identifier", "object_keys", "keys")


@settings(max_examples=75, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    source=st.dictionaries(st.sampled_from(FIELDS), VALUES | st.just({"repository": "a/b"}), max_size=4),
    asked=st.dictionaries(st.sampled_from(ASKED), VALUES | st.just("docs"), max_size=4),
)
async def test_any_json_is_answered_with_a_documented_status(api, source, asked):
    source_id = await api.make_source()
    source = {"database_name": api.database, **source}
    status, _ = await post(api, json.dumps(source).encode("utf-8", "surrogatepass"))
    assert status in (201, 400, 404)
    for path in ("invocations", "invocations/latest-by-keys"):
        body = json.dumps(asked).encode("utf-8", "surrogatepass")
        status, _ = await api.post(f"/api/v1/sources/{source_id}/{path}", data=body, headers=JSON)
        assert status in (200, 201, 400)


@pytest.mark.parametrize(
    "path", ["sources", "search", "invocations/{}/confirm-deletes", "invocations/{}/discard-deletes"]
)
async def test_a_body_that_never_ends_is_not_waited_for(api, monkeypatch, path):
    monkeypatch.setattr(requests, "BODY_TIMEOUT_S", 0.3)
    never = asyncio.Event()

    async def dripping():
        yield b"{"
        await never.wait()

    path = path.format(await api.make_invocation())
    with anyio.fail_after(120):
        status, answer = await api.post(f"/api/v1/{path}", data=dripping(), headers=JSON)
    never.set()
    assert (status, "did not arrive in time" in answer["message"]) == (400, True)
