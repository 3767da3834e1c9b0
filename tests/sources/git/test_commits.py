"""Objects that Git's own checks reject and any clone takes, and names that no checkout takes."""

from pathlib import Path

import pytest

from syncd.errors import RetryableError
from syncd.sources.git.commits import Commits
from syncd.sources.git.source import RepositorySettings, RepositorySource
from tests.git_server import EXECUTABLE, REGULAR, GitServer
from tests.sources.running import SyncedCollection

TREE = "40000"
GOOD = b"A <a@example.org> 1700000000 +0000"

COMMITS = {
    "no name": (b"<a@example.org> 1700000000 +0000", b"x"),
    "two addresses": (b"A <a@example.org> <a@example.org> 1700000000 +0000", b"x"),
    "no address": (b"A 1700000000 +0000", b"x"),
    "no space before the address": (b"A<a@example.org> 1700000000 +0000", b"x"),
    "no space before the date": (b"A <a@example.org>1700000000 +0000", b"x"),
    "a date with a zero before it": (b"A <a@example.org> 01700000000 +0000", b"x"),
    "a date beyond all clocks": (b"A <a@example.org> 99999999999999999999 +0000", b"x"),
    "no time zone": (b"A <a@example.org> 1700000000", b"x"),
    "two authors": (GOOD + b"\nauthor " + GOOD, b"x"),
    "a NUL in the header": (GOOD + b"\nnote a\0b", b"x"),
    "a NUL in the message": (GOOD, b"a\0b"),
}

GITMODULES = b'[submodule "a"]\n\tpath = -a\n\turl = --upload-pack=touch hacked\n'


def opened(git_server: GitServer, folder: Path) -> RepositorySource:
    return RepositorySource(RepositorySettings(git_server.remote("owner/name")), folder / "git")


def commit(git_server: GitServer, tree: str, author: bytes = GOOD, message: bytes = b"x") -> None:
    data = b"tree %s\nauthor %s\ncommitter %s\n\n%s" % (tree.encode(), author, author.partition(b"\n")[0], message)
    git_server.point("owner/name", "refs/heads/main", git_server.write("owner/name", "commit", data))


@pytest.fixture
def blobs(git_server: GitServer) -> dict[str, str]:
    """The objects of a few texts, in a repository of one commit."""
    git_server.create("owner/name", {"first": "first"})
    return {text: git_server.write("owner/name", "blob", text.encode()) for text in ("one", "two", "three")}


async def test_a_commit_with_a_wrong_header_is_read_as_any_clone_reads_it(
    git_server: GitServer, tmp_path: Path, blobs: dict[str, str]
) -> None:
    index, source = SyncedCollection(), opened(git_server, tmp_path)
    for kind, (author, message) in COMMITS.items():
        name = kind.replace(" ", "-")
        tree = git_server.write_tree("owner/name", [(REGULAR, name.encode(), blobs["one"])])
        commit(git_server, tree, author, message)
        await index.sync(source)
        assert index.contents == {name: b"one"}


async def test_settings_of_git_that_git_finds_unsafe_are_documents_like_others(
    git_server: GitServer, tmp_path: Path
) -> None:
    files = {".gitattributes": b"*.x " + b"a" * 5000, ".gitmodules": GITMODULES, "a": b"a"}
    git_server.create("owner/name", files)
    index = SyncedCollection()
    await index.sync(opened(git_server, tmp_path))
    assert index.contents == files


async def test_an_entry_that_no_checkout_writes_is_refused_by_name_and_all_others_are_read(
    git_server: GitServer, tmp_path: Path, blobs: dict[str, str]
) -> None:
    one, two, three = blobs.values()
    below = git_server.write_tree("owner/name", [(REGULAR, b"config", one), (EXECUTABLE, b"hooks", one)])
    names = [b"..", b".git", b"/etc/passwd", b"a/b"]
    entries = [*((REGULAR, name, one) for name in names), (TREE, b".Git", below), (REGULAR, b"file", two)]
    entries += [(REGULAR, b"file", one), (TREE, b"twice", below), (TREE, b"twice", below), (REGULAR, b"z", three)]
    commit(git_server, git_server.write_tree("owner/name", entries))
    index, source = SyncedCollection(), opened(git_server, tmp_path)
    await index.sync(source)
    refused = {key: text.partition(": ")[0] for key, text in index.contents.items() if isinstance(text, str)}
    names = "..|.git|//etc//passwd|a//b|.Git/config|.Git/hooks|file//2|twice//2/config|twice//2/hooks"
    assert set(refused) == set(names.split("|"))
    assert set(refused.values()) == {"skipped"}
    assert (
        index.contents["file//2"]
        == "skipped: refused: another entry of its folder has the same name, and the first one counts"
    )
    read = {key: text for key, text in index.contents.items() if key not in refused}
    assert read == {"file": b"two", "twice/config": b"one", "twice/hooks": b"one", "z": b"three"}
    assert await index.sync(source) == []


async def test_trees_out_of_order_are_listed_anew_because_git_cannot_compare_them(
    git_server: GitServer, tmp_path: Path, blobs: dict[str, str]
) -> None:
    one, two, _ = blobs.values()
    states = [
        [(REGULAR, b"b", one), (REGULAR, b"a", one), (REGULAR, b"c", one)],
        [(REGULAR, b"c", two), (REGULAR, b"a", one), (REGULAR, b"b", one), (REGULAR, b"a", two)],
        [(REGULAR, b"a", one), (REGULAR, b"b", two)],
        [(REGULAR, b"a", one), (REGULAR, b"a", two), (REGULAR, b"b", two)],
        [(REGULAR, b"a", one), (REGULAR, b"b", one)],
    ]
    index, source = SyncedCollection(), opened(git_server, tmp_path)
    for entries in states:
        commit(git_server, git_server.write_tree("owner/name", entries))
        await index.sync(source)
        fresh = SyncedCollection()
        await fresh.sync(source)
        assert index.contents == fresh.contents
        assert index.contents["a"] == b"one"


async def test_of_a_later_commit_only_the_trees_that_changed_are_looked_at_and_one_out_of_order_is_seen_wherever_it_is(
    git_server: GitServer, tmp_path: Path, blobs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, _ = blobs.values()
    listed, list_all = list[str](), Commits._is_well_formed

    async def told(commits: Commits, sha: str) -> bool:
        listed.append(sha)
        return await list_all(commits, sha)

    monkeypatch.setattr(Commits, "_is_well_formed", told)

    def tree(*entries: tuple[str, bytes, str]) -> str:
        return git_server.write_tree("owner/name", list(entries))

    def below(*entries: tuple[str, bytes, str], kept: str = one) -> str:
        return tree(
            (TREE, b"a", tree((REGULAR, b"x", one))),
            (TREE, b"b", tree((TREE, b"c", tree(*entries)))),
            (REGULAR, b"k", kept),
        )

    good = below((REGULAR, b"x", one), (REGULAR, b"y", one))
    changed = below((REGULAR, b"x", two), (REGULAR, b"y", one))
    bad = [
        below((REGULAR, b"y", one), (REGULAR, b"x", one)),
        below((REGULAR, b"x", one), (REGULAR, b"x", two)),
        below((REGULAR, b"x", one), (REGULAR, b"x.y", one), (TREE, b"x", tree((REGULAR, b"z", one)))),
        below((REGULAR, b"..", one)),
        tree((TREE, b"b", tree((REGULAR, b"x", one))), (TREE, b"a", tree((REGULAR, b"x", one)))),
    ]
    index, source = SyncedCollection(), opened(git_server, tmp_path)
    listings = list[int]()
    for state in (good, changed, good, below((REGULAR, b"x", one), kept=two), *bad, good):
        listed.clear()
        commit(git_server, state)
        await index.sync(source)
        listings.append(len(listed))
        fresh = SyncedCollection()
        await fresh.sync(source)
        assert index.contents == fresh.contents
    # The first run knows nothing, the second has its predecessor listed, and after one out of order there is no more to compare with.
    assert listings[:5] == [0, 1, 0, 0, 0]


async def test_a_repository_in_order_is_compared_and_not_listed_anew(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"a/x": "1", "a.b": "1", "a-b/c": "1", "b/c/d": "1"})
    index, source = SyncedCollection(), opened(git_server, tmp_path)
    await index.sync(source)
    git_server.commit("owner/name", {"b/c/d": "2"})
    await index.sync(source)
    assert [document.key for document in index.documents] == ["b/c/d"]


async def test_a_path_longer_than_any_system_takes_is_refused(git_server: GitServer, tmp_path: Path) -> None:
    git_server.create("owner/name", {"long/" * 1000 + "x": "1", "a": "1"})
    index = SyncedCollection()
    await index.sync(opened(git_server, tmp_path))
    assert index.contents["a"] == b"1"
    assert [text for key, text in index.contents.items() if key != "a"] == [
        "skipped: refused: its path is longer than 4096 bytes"
    ]


async def test_a_tree_that_the_server_itself_cannot_read_is_told_of_as_such(
    git_server: GitServer, tmp_path: Path, blobs: dict[str, str]
) -> None:
    index, source = SyncedCollection(), opened(git_server, tmp_path)
    await index.sync(source)
    commit(git_server, git_server.write_tree("owner/name", [(REGULAR, b"", blobs["one"])]))
    with pytest.raises(RetryableError, match=r"cannot read its own copy of owner/name .*empty filename in tree entry"):
        await index.sync(source)
    assert index.contents == {"first": b"first"}
    assert (tmp_path / "git" / "HEAD").exists()
