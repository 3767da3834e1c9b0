"""A first fetch comes in parts: what a line that breaks costs is one of them, and nothing of a partial clone is left."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from syncd.errors import NotFoundError, RetryableError
from syncd.sources.git.parts import PartialFetch
from syncd.sources.git.repository import Repository
from tests.git_server import GitServer

FILES = {f"folder{number % 3}/f{number}": f"text {number}" for number in range(10)}
PER_FETCH = 3
TREES, BATCH = 2, 2
"""How many requests each takes: what the server can do, and the fetch itself."""


@pytest.fixture
def sha(git_server: GitServer) -> str:
    made = git_server.create("owner/name", FILES)
    git_server.allow_filters("owner/name")
    return made


def copied(git_server: GitServer, folder: Path) -> Repository:
    copy = Repository(folder / "copy", git_server.remote("owner/name"))
    copy._parts = PartialFetch(copy.git, PER_FETCH)
    return copy


async def is_whole(copy: Repository, sha: str, files: int = len(FILES)) -> bool:
    """Tell whether all files are here, in an ordinary copy."""
    listed = [file async for file in copy.commits.files(sha)]
    folder = copy.git.folder
    left = [*folder.glob("objects/pack/*.promisor"), *folder.glob("refs/partial/*")]
    config = (folder / "config").read_text()
    return copy.has(sha) and len(listed) == files and not left and "partial" not in config and "remote" not in config


async def test_the_trees_come_first_and_then_the_files_by_number(git_server: GitServer, sha: str, tmp_path: Path):
    copy = copied(git_server, tmp_path)
    await copy.fetch(sha, None)
    assert len(git_server.requests) == TREES + 4 * BATCH
    assert await is_whole(copy, sha)


async def test_a_fetch_that_was_cut_off_goes_on_where_it_was(git_server: GitServer, sha: str, tmp_path: Path):
    git_server.failures = [*[0] * (TREES + 2 * BATCH), 503]
    with pytest.raises(RetryableError):
        await copied(git_server, tmp_path).fetch(sha, None)
    again = copied(git_server, tmp_path)
    assert not again.has(sha)
    git_server.requests.clear()
    await again.fetch(sha, None)
    assert len(git_server.requests) <= TREES + 2 * BATCH
    assert await is_whole(again, sha)


async def test_it_goes_on_at_another_commit_too(git_server: GitServer, sha: str, tmp_path: Path):
    copy = copied(git_server, tmp_path)
    git_server.failures = [*[0] * (TREES + 3 * BATCH), 503]
    with pytest.raises(RetryableError):
        await copy.fetch(sha, None)
    newer = git_server.commit("owner/name", {"folder0/f0": "changed", "new": "n"})
    git_server.requests.clear()
    await copy.fetch(newer, None)
    assert len(git_server.requests) <= TREES + BATCH
    assert await is_whole(copy, newer, len(FILES) + 1)


async def test_what_comes_later_comes_at_once(git_server: GitServer, sha: str, tmp_path: Path):
    copy = copied(git_server, tmp_path)
    await copy.fetch(sha, None)
    newer = git_server.commit("owner/name", dict.fromkeys(FILES, "changed"))
    git_server.requests.clear()
    await copy.fetch(newer, None)
    assert len(git_server.requests) == TREES
    assert await is_whole(copy, newer)


async def test_a_server_that_knows_no_filters_sends_everything(git_server: GitServer, tmp_path: Path):
    sha = git_server.create("owner/name", FILES)
    copy = copied(git_server, tmp_path)
    await copy.fetch(sha, None)
    assert len(git_server.requests) == TREES
    assert await is_whole(copy, sha)


async def test_a_server_that_gives_no_files_by_number_is_asked_for_everything_at_once(
    git_server: GitServer, sha: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def refused(_self: PartialFetch, _sha: str) -> Sequence[str]:
        return ["1" * 40]

    monkeypatch.setattr(PartialFetch, "_missing", refused)
    copy = copied(git_server, tmp_path)
    await copy.fetch(sha, None)
    assert await is_whole(copy, sha)
    assert not copy._takes_parts
    with pytest.raises(NotFoundError):
        await copied(git_server, tmp_path / "other").fetch("2" * 40, None)
