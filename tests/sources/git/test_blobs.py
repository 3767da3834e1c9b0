from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from syncd.errors import RetryableError
from syncd.sources.git.blobs import Blobs
from syncd.sources.git.errors import Damaged
from syncd.sources.git.refs import Ref
from syncd.sources.git.repository import Repository
from tests.git_server import GitServer


async def copied(git_server: GitServer, tmp_path: Path, files: dict[str, bytes]) -> tuple[Blobs, dict[str, str]]:
    sha = git_server.create("owner/name", files)
    repository = Repository(tmp_path / "git", git_server.remote("owner/name"))
    await repository.head(Ref(), None)
    await repository.fetch(sha, None)
    return Blobs(repository, sha), {file.path.decode(): file.oid async for file in repository.commits.files(sha)}


async def whole(blobs: Blobs, oid: str) -> bytes:
    return b"".join([piece async for piece in blobs.read(oid)])


async def test_many_readers_share_one_process(git_server: GitServer, tmp_path: Path) -> None:
    files = {f"f{number}": bytes([number]) * number * 3000 for number in range(60)}
    blobs, oids = await copied(git_server, tmp_path, files)
    read: dict[str, bytes] = {}
    pids: set[int] = set()

    async def reader(name: str) -> None:
        read[name] = await whole(blobs, oids[name])
        assert blobs._process is not None
        pids.add(blobs._process.pid)

    async with blobs, anyio.create_task_group() as tasks:
        for name in files:
            tasks.start_soon(reader, name)
    assert read == files
    assert len(pids) == 1
    assert blobs._process is None


async def test_a_reader_that_gives_up_halfway_spoils_nothing_for_the_next(
    git_server: GitServer, tmp_path: Path
) -> None:
    blobs, oids = await copied(git_server, tmp_path, {"big": b"x" * 500_000, "small": b"s"})
    async with blobs:
        async with aclosing(blobs.read(oids["big"])) as pieces:
            assert await anext(pieces)
        assert await whole(blobs, oids["small"]) == b"s"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(whole, blobs, oids["big"])
            tasks.cancel_scope.cancel()
        assert await whole(blobs, oids["small"]) == b"s"


async def test_a_missing_blob_is_told_and_the_next_is_read(git_server: GitServer, tmp_path: Path) -> None:
    blobs, oids = await copied(git_server, tmp_path, {"a": b"a"})
    async with blobs:
        with pytest.raises(RetryableError, match="not in the local copy"):
            await whole(blobs, "0" * 40)
        assert await whole(blobs, oids["a"]) == b"a"


async def test_a_damaged_blob_has_the_copy_discarded(git_server: GitServer, tmp_path: Path) -> None:
    big = b"".join(f"{number * 7919 % 10007}\n".encode() for number in range(5000))
    blobs, oids = await copied(git_server, tmp_path, {"big": big})
    (pack,) = (tmp_path / "git").glob("objects/pack/*.pack")
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 0xFF
    pack.chmod(0o600)
    pack.write_bytes(content)
    with pytest.raises(Damaged, match="will be fetched again"):
        await whole(blobs, oids["big"])
    assert not (tmp_path / "git").exists()


async def test_a_killed_process_is_started_again(git_server: GitServer, tmp_path: Path) -> None:
    blobs, oids = await copied(git_server, tmp_path, {"a": b"a"})
    async with blobs:
        await whole(blobs, oids["a"])
        process = blobs._process
        assert process is not None
        process.kill()
        await process.wait()
        assert await whole(blobs, oids["a"]) == b"a"


async def test_a_body_opened_after_the_run_is_read_by_a_process_that_ends_with_it(
    git_server: GitServer, tmp_path: Path
) -> None:
    blobs, oids = await copied(git_server, tmp_path, {"a": b"a"})
    async with blobs:
        pass
    assert await whole(blobs, oids["a"]) == b"a"
    assert blobs._process is None
