import asyncio
import hashlib
import json
from contextlib import ExitStack

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.api import upload_file
from syncd.api.errors import RefusedError
from syncd.api.upload_file import Slots
from syncd.model import Target
from syncd.sources.factory import Machine
from syncd.sources.upload.factory import UploadFactory
from tests.api.conftest import MINILM, QWEN, SPLADE
from tests.asking import stored as kept

LENGTH = "x-upload-content-length"
CONTENT = b"hello\n" * 100


def form(*parts):
    """Multipart fields in the given order; a bytes value is a file."""
    writer = aiohttp.MultipartWriter("form-data")
    for name, value, *more in parts:
        headers = {"content-type": "application/octet-stream"} if isinstance(value, bytes) else {}
        part = writer.append(value, headers)
        options = more[0] if more else {}
        filename = {"filename": "notes.md"} if isinstance(value, bytes) else {}
        part.set_content_disposition("form-data", name=name, quote_fields=False, **{**filename, **options})
    return writer


def fields(api, **changes):
    return {"database_name": api.database, "collection_name": "docs", **changes}


async def upload(api, content=CONTENT, declared=None, after=(), filename="notes.md", **changes):
    parts = [*fields(api, **changes).items(), ("file", content, {"filename": filename}), *after]
    return await send(api, parts, len(content) if declared is None else declared)


async def send(api, parts, declared, **options):
    headers = {} if declared is None else {LENGTH: str(declared)}
    return await api.post("/api/v1/add-file", data=form(*parts), headers=headers, **options)


def files(api):
    return sorted(api.services.upload_dir.iterdir())


async def nothing_stays(api):
    assert files(api) == []
    assert await api.store.invocations.list() == []


async def test_an_uploaded_file_is_on_disk_before_its_invocation_is_answered(api, store):
    status, answer = await upload(api)

    assert status == 201
    invocation = await store.invocations.get(answer["invocation_id"])
    (file,) = files(api)
    assert file.read_bytes() == CONTENT
    assert file.stat().st_mode & 0o777 == 0o600
    assert invocation.target == Target(api.database, "docs")
    assert kept(invocation.request) == {
        "file": file.name,
        "object_key": "notes.md",
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "content_type": "text/markdown",
    }
    assert api.woken == 1


async def test_the_first_upload_makes_the_databases_source_and_later_ones_reuse_it(api, store):
    await asyncio.gather(upload(api), upload(api))
    await upload(api, b"other")

    (source,) = await store.sources.list()
    assert source.type == "file_upload"
    assert source.embedding.model == QWEN
    assert source.embedding.task.name == "generic_retrieval"
    assert source.embedding.sparse_model == SPLADE
    _, shown = await api.get(f"/api/v1/sources/{source.id}")
    assert shown["file_upload"] == {}
    assert len(await store.invocations.list(source_id=source.id)) == 3


async def test_an_upload_can_be_looked_up_by_its_file_name(api, store):
    _, answer = await upload(api)
    (source,) = await store.sources.list()
    path = f"/api/v1/sources/{source.id}/invocations/latest-by-keys"
    _, found = await api.post(path, {"object_keys": ["notes.md"]})
    assert found["notes.md"]["id"] == answer["invocation_id"]
    assert found["notes.md"]["metadata"]["s3"]["bucket_name"] == "file_upload"


async def test_options_may_come_before_or_after_the_file(api, store):
    options = {
        "custom_id": "doc-1",
        "metadata": json.dumps({"lang": "de", "tags": ["a", "b"]}),
        "embedding": json.dumps({"dense": {"model": MINILM}}),
        "chunking": json.dumps({"type": "lines", "max_lines": 3}),
        "content_type": "text/x-odd; charset=utf-8",
    }
    for answer in (await upload(api, **options), await upload(api, after=tuple(options.items()))):
        status, made = answer
        assert status == 201, made
        request = kept((await store.invocations.get(made["invocation_id"])).request)
        assert request["custom_id"] == "doc-1"
        assert request["metadata"] == {"lang": "de", "tags": ["a", "b"]}
        assert request["embedding"]["model"] == MINILM
        assert request["embedding"]["sparse_model"] is None
        assert request["chunking"]["max_lines"] == 3
        assert request["content_type"] == "text/x-odd; charset=utf-8"


WRONG_OPTIONS = {
    "long custom id": {"custom_id": "é" * 61},
    "metadata is no JSON": {"metadata": "{"},
    "metadata is a list": {"metadata": "[]"},
    "metadata is too large": {"metadata": json.dumps({"a": "x" * 16384})},
    "metadata uses a reserved key": {"metadata": '{"chroma_x": 1}'},
    "metadata says where a chunk comes from": {"metadata": '{"version": "2"}'},
    "metadata names another file": {"metadata": '{"filename": "other.md"}'},
    "metadata has a key twice": {"metadata": '{"a": 1, "a": 2}'},
    "metadata has NaN": {"metadata": '{"a": NaN}'},
    "metadata is nested": {"metadata": '{"a": {"b": 1}}'},
    "unknown model": {"embedding": '{"dense": {"model": "x"}}'},
    "embedding is no JSON": {"embedding": "x"},
    "unknown chunking": {"chunking": '{"type": "x"}'},
    "long content type": {"content_type": "a/" + "b" * 511},
    "odd content type": {"content_type": "text\r\nx: y"},
    "odd collection": {"collection_name": "A"},
}


@pytest.mark.parametrize("wrong", WRONG_OPTIONS.values(), ids=WRONG_OPTIONS.keys())
@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_wrong_option_is_400_and_leaves_nothing(api, wrong, place):
    if place == "before":
        status, _ = await upload(api, **wrong)
    else:
        status, _ = await upload(api, after=tuple(wrong.items()))
    assert status == 400
    await nothing_stays(api)


@pytest.mark.parametrize("declared", ["0", "-1", "209715201", "1e3", "x", "", "1_0", " ", "9" * 30, None])
async def test_the_declared_length_must_be_a_number_within_the_limit(api, declared):
    parts = [*fields(api).items(), ("file", CONTENT)]
    assert (await send(api, parts, declared))[0] == 400
    await nothing_stays(api)


@pytest.mark.parametrize("difference", [-1, 1, -599, 10**6])
async def test_the_file_must_have_exactly_the_declared_length(api, difference):
    status, answer = await upload(api, declared=len(CONTENT) + difference)
    assert status == 400
    assert LENGTH in answer["message"]
    await nothing_stays(api)


async def test_an_empty_file_is_shorter_than_any_declared_length(api):
    assert (await upload(api, b"", declared=1))[0] == 400
    await nothing_stays(api)


async def test_names_must_come_before_the_file(api):
    file, *names = ("file", CONTENT), *fields(api).items()
    for parts in ([file, *names], [names[0], file, names[1]], [names[1], file, names[0]], [file]):
        status, answer = await send(api, parts, len(CONTENT))
        assert status == 400
        assert "before file" in answer["message"]
    await nothing_stays(api)


async def test_parts_are_counted_named_and_given_once(api):
    names, file = list(fields(api).items()), ("file", CONTENT)
    many = [(f"extra{n}", "x") for n in range(20)]
    for parts in (names, [*names, file, file], [*names, names[0], file], [*names, *many, file], [*names, file, *many]):
        assert (await send(api, parts, len(CONTENT)))[0] == 400
    assert (await send(api, [*names, ("extra", "x" * 70_000), file], len(CONTENT)))[0] == 400
    await nothing_stays(api)
    assert (await send(api, [*names, ("extra", "ignored"), file], len(CONTENT)))[0] == 201


@pytest.mark.parametrize("filename", ["", "x" * 1025, "nul%00", "new\\nline"])
async def test_the_file_needs_a_name_that_can_be_kept(api, filename):
    body = raw_form(api, filename.replace("%00", "\0").replace("\\n", "\x01").encode())
    status, _ = await api.post("/api/v1/add-file", data=body, headers=raw_headers(len(CONTENT)))
    assert status == 400
    await nothing_stays(api)


async def test_a_file_name_that_is_not_utf8_is_400(api):
    body = raw_form(api, b"caf\xe9.txt")
    assert (await api.post("/api/v1/add-file", data=body, headers=raw_headers(len(CONTENT))))[0] == 400


async def test_a_path_as_file_name_is_a_key_and_never_a_place_on_disk(api, store):
    status, answer = await upload(api, filename="../../etc/passwd")
    assert status == 201
    (file,) = files(api)
    request = kept((await store.invocations.get(answer["invocation_id"])).request)
    assert (request["object_key"], request["file"]) == ("../../etc/passwd", file.name)
    assert file.name.isalnum()


def raw_headers(declared):
    return {LENGTH: str(declared), "content-type": "multipart/form-data; boundary=XX"}


def raw_form(api, filename, content=CONTENT, end=b"\r\n--XX--\r\n"):
    head = "".join(
        f'--XX\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields(api).items()
    )
    file = b'--XX\r\ncontent-disposition: form-data; name="file"; filename="' + filename + b'"\r\n\r\n'
    return head.encode() + file + content + end


BROKEN = {
    "no boundary in the type": ("multipart/form-data", b"x"),
    "another type": ("application/json", b"{}"),
    "another multipart": ("multipart/mixed; boundary=XX", b"--XX--\r\n"),
    "no parts": ("multipart/form-data; boundary=XX", b""),
    "text instead of parts": ("multipart/form-data; boundary=XX", b"hello"),
    "end at once": ("multipart/form-data; boundary=XX", b"--XX--\r\n"),
    "headers without end": ("multipart/form-data; boundary=XX", b"--XX\r\ncontent-disposition: form-data"),
    "headers of nonsense": ("multipart/form-data; boundary=XX", b"--XX\r\n:::\r\n\r\nx\r\n--XX--\r\n"),
    "header too long": (
        "multipart/form-data; boundary=XX",
        b"--XX\r\na: " + b"x" * 20_000 + b"\r\n\r\nx\r\n--XX--\r\n",
    ),
    "part without a name": ("multipart/form-data; boundary=XX", b"--XX\r\na: b\r\n\r\nx\r\n--XX--\r\n"),
    "multipart in a part": (
        "multipart/form-data; boundary=XX",
        b'--XX\r\ncontent-type: multipart/mixed; boundary=YY\r\ncontent-disposition: form-data; name="file"\r\n\r\n--YY--\r\n--XX--\r\n',
    ),
    "odd charset": (
        "multipart/form-data; boundary=XX",
        b'--XX\r\ncontent-disposition: form-data; name="_charset_"\r\n\r\n' + b"\xff" * 40 + b"\r\n--XX--\r\n",
    ),
    "field that is not UTF-8": (
        "multipart/form-data; boundary=XX",
        b'--XX\r\ncontent-disposition: form-data; name="database_name"\r\n\r\n\xff\r\n--XX--\r\n',
    ),
    "long boundary": ("multipart/form-data; boundary=" + "X" * 80, b"x"),
}


@pytest.mark.parametrize(("kind", "body"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_form_is_400_and_leaves_nothing(api, kind, body):
    status, answer = await api.post("/api/v1/add-file", data=body, headers={LENGTH: "5", "content-type": kind})
    assert status == 400
    assert set(answer) == {"error", "message"}
    await nothing_stays(api)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    filename=st.binary(max_size=40)
    | st.sampled_from([b"../../etc/passwd", b"a\\b", b'"', b'a.md"; x="y', b"=?utf-8?q?a?="]),
    lines=st.lists(st.binary(max_size=30), max_size=3),
    cut=st.integers(0, 400),
)
async def test_any_names_and_headers_in_a_form_are_answered_in_the_documented_way(api, filename, lines, cut):
    head = b"".join(line + b"\r\n" for line in lines)
    body = raw_form(api, filename, b"12345").replace(b"\r\n\r\n12345", b"\r\n" + head + b"\r\n12345")
    for form_data in (body, body[:cut]):
        status, answer = await api.post("/api/v1/add-file", data=form_data, headers=raw_headers(5))
        assert status == 400 or (status == 201 and form_data == body), answer
    assert all(file.parent == api.services.upload_dir for file in files(api))


async def test_a_form_that_ends_early_is_400_and_leaves_nothing(api):
    whole = raw_form(api, b"a.txt")
    for end in (50, 150, len(whole) - 300, len(whole) - 8):
        answer = await api.post("/api/v1/add-file", data=whole[:end], headers=raw_headers(len(CONTENT)))
        assert answer[0] == 400, end
    await nothing_stays(api)


async def test_the_limit_acts_while_the_file_streams(api):
    """The sender never finishes, and is refused all the same."""
    sent = asyncio.Event()

    async def endless():
        yield raw_form(api, b"a.txt", b"x" * 2_000_000, end=b"")
        await sent.wait()

    status, _ = await api.post("/api/v1/add-file", data=endless(), headers=raw_headers(1_000_000))
    sent.set()
    assert status == 400
    await nothing_stays(api)


async def test_a_connection_that_breaks_off_leaves_nothing_and_frees_its_place(api_with):
    async with api_with(max_uploads=1) as api:
        begun, never = asyncio.Event(), asyncio.Event()

        async def stalling():
            yield raw_form(api, b"a.txt", b"x" * 3_000_000, end=b"")
            begun.set()
            await never.wait()

        sender = asyncio.create_task(api.post("/api/v1/add-file", data=stalling(), headers=raw_headers(200_000_000)))
        await begun.wait()
        while (await upload(api))[0] == 201:
            await asyncio.gather(*(asyncio.to_thread(path.unlink) for path in files(api)))
        assert (await upload(api))[0] == 429
        other = await api.store.tokens.create("somebody else's", frozenset({api.database}))
        parts = [*fields(api).items(), ("file", CONTENT)]
        assert (await send(api, parts, len(CONTENT), token=other))[0] == 201
        await asyncio.gather(*(asyncio.to_thread(path.unlink) for path in files(api) if path.stat().st_size < 100_000))
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        while (answer := await upload(api))[0] == 429:
            pass
        assert answer[0] == 201
        assert len([path for path in files(api) if path.stat().st_size == 3_000_000]) == 0


async def test_all_tokens_together_have_four_times_the_places_of_one():
    slots = Slots(2)
    with ExitStack() as held:
        for token in "aabbccdd":
            held.enter_context(slots.one(token))
        for token in "ae":
            with pytest.raises(RefusedError, match="too many uploads"), slots.one(token):
                pass
    with slots.one("e"):
        pass


@pytest.mark.parametrize(("end", "declared"), [(b"", 1_000_000), (b"\r\n--XX\r\n", 1000)])
async def test_who_sends_a_byte_now_and_then_is_refused_and_leaves_nothing(api, monkeypatch, end, declared):
    monkeypatch.setattr(upload_file, "GRACE_S", 0.3)
    answered = asyncio.Event()

    async def dripping():
        yield raw_form(api, b"a.txt", b"x" * 1000, end=end)
        while not answered.is_set():
            yield b"x"
            await asyncio.sleep(0.01)

    status, answer = await api.post("/api/v1/add-file", data=dripping(), headers=raw_headers(declared))
    answered.set()
    assert (status, "did not arrive in time" in answer["message"]) == (400, True)
    await nothing_stays(api)


async def test_an_unknown_database_is_404_before_the_file_is_taken(api):
    assert (await upload(api, database_name="no-such-database"))[0] == 404
    await nothing_stays(api)


async def test_a_token_for_another_database_is_403(api, store):
    token = await store.tokens.create("scoped", frozenset({"elsewhere"}))
    parts = [*fields(api).items(), ("file", CONTENT)]
    assert (await send(api, parts, len(CONTENT), token=token))[0] == 403
    await nothing_stays(api)


async def test_a_finished_collection_is_409_as_it_is_for_every_invocation(api, chroma, fresh_name):
    target = Target(api.database, fresh_name)
    await chroma.open_collection(target)
    await chroma.set_metadata(target, {"finished_ingest": True})
    status, answer = await upload(api, collection_name=fresh_name)
    assert status == 409
    assert "finished" in answer["message"]
    await nothing_stays(api)


async def test_a_large_file_arrives_whole(api, store):
    content = bytes(range(256)) * 40_000
    status, answer = await upload(api, content)
    assert status == 201
    request = kept((await store.invocations.get(answer["invocation_id"])).request)
    assert request["sha256"] == hashlib.sha256(content).hexdigest()
    assert files(api)[0].stat().st_size == len(content)


async def test_files_that_no_invocation_owns_are_found_at_start(api):
    await upload(api)
    (owned,) = files(api)
    (api.services.upload_dir / "left-by-a-crash").write_bytes(b"x")
    async with UploadFactory(Machine(api.services.upload_dir.parent, api.store)):
        assert files(api) == [owned]
