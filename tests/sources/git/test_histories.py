"""Random histories of commits, runs and crashes: the index ends as a fresh one would."""

import random
from pathlib import Path

import pytest

from syncd.sources.git.source import RepositorySettings, RepositorySource
from tests.git_server import GitServer
from tests.sources.running import SyncedCollection

NAMES = [f"{folder}{name}" for folder in ("", "a/", "b/") for name in ("x", "y.py", "z.md")]
GLOBS = [("*",), ("*.py",), ("a/",), ("*", "!*.md")]


def random_commits(git_server: GitServer, chance: random.Random) -> list[str]:
    """Few names and few contents, so that files often come back to what they were."""
    commits, held = [], dict[str, str]()
    git_server.create("owner/name", {})
    for _ in range(8):
        changes: dict[str, str | None] = {}
        for name in chance.sample(NAMES, chance.randint(1, 5)):
            changes[name] = None if name in held and chance.random() < 0.4 else chance.choice("123")
        held = {name: text for name, text in {**held, **changes}.items() if text is not None}
        commits.append(git_server.commit("owner/name", changes))
    return commits


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_crashes_the_index_ends_equal_to_a_fresh_one(
    git_server: GitServer, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    commits = random_commits(git_server, chance)
    index = SyncedCollection()
    for _ in range(10):
        globs = GLOBS[0] if chance.random() < 0.7 else chance.choice(GLOBS)
        source = RepositorySource(RepositorySettings(git_server.remote("owner/name"), globs), tmp_path / "git")
        die_after = chance.randint(0, 6) if chance.random() < 0.5 else None
        await index.sync(source, {"ref": {"sha": chance.choice(commits)}}, die_after=die_after)
    await index.sync(source, {"ref": {"sha": commits[-1]}})
    fresh = SyncedCollection()
    await fresh.sync(source, {"ref": {"sha": commits[-1]}})
    assert index.contents == fresh.contents
    assert index.versions == fresh.versions


async def test_a_file_that_a_crashed_run_brought_and_the_next_commit_took_back_is_mended(
    git_server: GitServer, tmp_path: Path
) -> None:
    first = git_server.create("owner/name", {"a": "one", "z": "one"})
    second = git_server.commit("owner/name", {"a": "two", "z": "two"})
    third = git_server.commit("owner/name", {"a": "one", "z": "three"})
    source = RepositorySource(RepositorySettings(git_server.remote("owner/name")), tmp_path / "git")
    index = SyncedCollection()
    await index.sync(source, {"ref": {"sha": first}})
    await index.sync(source, {"ref": {"sha": second}}, die_after=1)
    assert index.contents == {"a": b"two", "z": b"one"}
    await index.sync(source, {"ref": {"sha": third}})
    assert index.contents == {"a": b"one", "z": b"three"}
