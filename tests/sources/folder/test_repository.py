"""A folder inside a repository: what Git ignores there stays out, wherever the rule stands."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.sources.folder import repository
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from tests.sources.running import SyncedCollection

NAMES = ["a", "b", "a.py", "c.log", "secret.env"]
PATTERNS = [
    "a",
    "*.py",
    "b/",
    "!a",
    "!*.py",
    "a/b",
    "**/c.log",
    "inner/a",
    "/top/inner/b",
    "top/*/a.py",
    "*.env",
    "!*.env",
]


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository, with a file of rules of its user's own."""
    user = tmp_path / "user.ignore"
    (tmp_path / "gitconfig").write_text(f"[core]\n\texcludesFile = {user}\n")
    user.write_text("*.private\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    repository.excludes_file.cache_clear()
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    yield folder
    repository.excludes_file.cache_clear()


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


async def synced(root: Path, keys: frozenset[str] | None = None, **settings: object) -> set[str]:
    index = SyncedCollection("folder")
    source = FolderTreeSource(FolderSettings(**{"id_root": "notes", "path": root, **settings}))  # type: ignore[arg-type] - any of them
    await (index.sync(source) if keys is None else index.sync(source, keys=keys))
    return set(index.contents)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], stdout=subprocess.PIPE, check=True).stdout.decode()


def listed_by_git(root: Path) -> set[str]:
    return set(git(root, "ls-files", "-z", "--others", "--cached", "--exclude-standard").split("\0")) - {""}


@pytest.mark.parametrize("seed", range(16))
async def test_git_itself_lists_the_same_files(top: Path, seed: int):
    chance, root = random.Random(seed), top / "top" / "inner"
    for _ in range(25):
        path = "/".join(chance.choice(NAMES) for _ in range(chance.randint(1, 4)))
        try:
            write(root, path, "x")
        except OSError:
            continue
    for place in [top / ".gitignore", top / "top/.gitignore", root / ".gitignore", top / ".git/info/exclude"]:
        write(place.parent, place.name, *chance.sample(PATTERNS, 3))
    (top.parent / "user.ignore").write_text("\n".join(chance.sample(PATTERNS, 2)))
    assert await synced(root) == listed_by_git(root)
    everything = frozenset(str(path.relative_to(root)) for path in root.rglob("*"))
    assert await synced(root, everything) == listed_by_git(root)


async def test_rules_above_exclude_and_users_own_are_heeded_and_can_be_turned_off(top: Path):
    root = top / "docs"
    write(top, ".gitignore", "/docs/build/", ".env")
    write(top, ".git/info/exclude", "*.draft")
    for name in ["a.md", ".env", "build/out.md", "b.draft", "keys.private"]:
        write(root, name, "x")
    assert await synced(root) == {"a.md"}
    assert await synced(root, gitignore=False) == {"a.md", ".env", "build/out.md", "b.draft", "keys.private"}


async def test_repositories_below_the_folder_have_their_own_exclude(tmp_path: Path, top: Path):
    write(top, ".git/info/exclude", "*.draft")
    write(top, "a.draft", "x")
    write(top, "a.md", "x")
    write(tmp_path, "b.draft", "x")
    assert {"repository/a.md", "b.draft"} <= await synced(tmp_path)
    assert "repository/a.draft" not in await synced(tmp_path)


async def test_a_worktree_shares_its_repositorys_exclude(top: Path):
    write(top, ".git/info/exclude", "*.draft")
    git(top, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "first")
    git(top, "worktree", "add", "-q", str(top.parent / "tree"))
    write(top.parent / "tree" / "docs", "a.draft", "x")
    write(top.parent / "tree" / "docs", "a.md", "x")
    assert await synced(top.parent / "tree" / "docs") == {"a.md"}


async def test_a_folder_that_its_repository_ignores_was_named_on_purpose(top: Path):
    write(top, ".gitignore", "/build/", "*.md")
    write(top / "build" / "site", "a.md", "x")
    assert await synced(top / "build" / "site") == {"a.md"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_rules_that_cannot_be_read_ignore_nothing(top: Path):
    write(top, ".gitignore", "*.md")
    (top / ".gitignore").chmod(0)
    write(top / "docs", "a.md", "x")
    assert await synced(top / "docs") == {"a.md"}
