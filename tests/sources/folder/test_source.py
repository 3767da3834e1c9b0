import contextlib
import gc
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from syncd.errors import ConfigError, NotFoundError, PermanentError, RetryableError
from syncd.model import Checkpoint, Document, Run, chunk_prefix
from syncd.sources.bodies import SizeCheck
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from tests.sources.running import SyncedCollection, invocation

Open = Callable[..., FolderTreeSource]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def opened(root: Path) -> Open:
    def open_source(**settings: object) -> FolderTreeSource:
        return FolderTreeSource(FolderSettings(**{"id_root": "notes", "path": root, **settings}))  # type: ignore[arg-type]

    return open_source


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())


async def test_every_file_is_found_in_path_order(root: Path, opened: Open) -> None:
    write(root, {"b": "b", "a/z": "z", "a.txt": "a", "a/y/x": "x", ".hidden": "h"})
    index = SyncedCollection("folder")
    await index.sync(opened())
    assert [document.key for document in index.documents] == [".hidden", "a.txt", "a/y/x", "a/z", "b"]
    assert index.contents["a/y/x"] == b"x"


async def test_only_changed_files_are_opened_again_and_deleted_ones_go(root: Path, opened: Open) -> None:
    write(root, {f"f{number}": "x" for number in range(600)})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    assert len(index.contents) == index.expected == 600
    assert await index.sync(source) == []
    write(root, {"f1": "changed", "new": "n"})
    (root / "f2").unlink()
    (root / "f3").rename(root / "g3")
    assert sorted(await index.sync(source)) == ["f1", "f2", "f3", "g3", "new"]


async def test_an_edit_that_keeps_size_and_time_is_seen(root: Path, opened: Open) -> None:
    write(root, {"f": "old", "g": "g"})
    before = (root / "f").stat()
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    write(root, {"f": "new"})
    os.utime(root / "f", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await index.sync(source) == ["f"]
    assert index.contents["f"] == b"new"


async def test_versions_of_an_earlier_release_cost_a_reading_and_nothing_else(root: Path, opened: Open) -> None:
    write(root, {"f": "f", "g": "g"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    await index.hold(*(replace(each, version=each.version.rpartition("-")[0]) for each in index.documents))
    assert sorted(await index.sync(source)) == ["f", "g"]
    assert sorted(index.last.keys("unchanged")) == ["f", "g"]
    assert [result.embedded for result in index.last.results] == [0, 0]
    assert await index.sync(source) == []


async def test_globs_and_nested_gitignores_are_honoured(root: Path, opened: Open) -> None:
    write(
        root,
        {
            ".gitignore": "*.log\r\nbuild/\n/top\n\\\n",
            "a.log": "",
            "keep.py": "",
            "top": "",
            "build/x.py": "",
            "sub/top": "",
            "sub/.gitignore": "!b.log\nsecret*\n",
            "sub/b.log": "",
            "sub/c.log": "",
            "sub/secret.py": "",
            "sub/build/.gitignore": "!*\n",
            "sub/build/y.py": "",
            ".git/config": "",
            "vendored/.git": "gitdir: elsewhere",
            "vendored/z.py": "",
        },
    )
    index = SyncedCollection("folder")
    await index.sync(opened())
    expected = {".gitignore", "keep.py", "sub/.gitignore", "sub/b.log", "sub/top", "vendored/z.py"}
    assert set(index.contents) == expected
    await index.sync(opened(include_globs=("*.py", "top"), exclude_globs=("vendored/",)))
    assert set(index.contents) == {"keep.py", "sub/top"}
    await index.sync(opened(gitignore=False, include_globs=("*.log",)))
    assert set(index.contents) == {"a.log", "sub/b.log", "sub/c.log"}


async def test_links_and_special_files_are_left_out(root: Path, opened: Open, tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret": "s"})
    write(root, {"real/file": "r"})
    (root / "link-out").symlink_to(tmp_path / "outside")
    (root / "file-out").symlink_to(tmp_path / "outside/secret")
    (root / "link-in").symlink_to(root / "real/file")
    (root / "loop").symlink_to(root)
    (root / ".gitignore").symlink_to(tmp_path / "outside/secret")
    os.mkfifo(root / "pipe")
    index = SyncedCollection("folder")
    await index.sync(opened())
    assert set(index.contents) == {"real/file"}
    for key in ("link-out/secret", "file-out", "pipe"):
        await index.sync(opened(), keys=frozenset({key}))
        assert set(index.contents) == {"real/file"}


async def test_a_file_swapped_for_a_link_after_the_walk_is_not_followed(
    root: Path, opened: Open, tmp_path: Path
) -> None:
    write(tmp_path, {"outside/a": "secret"})
    write(root, {"d/a": "a", "f": "f"})
    index, source = SyncedCollection("folder"), opened()
    steps = source.changes(Run(invocation(), None, index))
    documents = [step async for step in steps if isinstance(step, Document)]
    (root / "d").rename(root / "d2")
    (root / "d").symlink_to(tmp_path / "outside")
    (root / "f").unlink()
    (root / "f").symlink_to(tmp_path / "outside/a")
    for document in documents[:2]:
        with pytest.raises(PermanentError, match="removed or replaced"):
            async with document.body.open():  # type: ignore[union-attr]
                pass


async def test_what_is_no_text_is_skipped_but_documents_pass_whole(root: Path, opened: Open) -> None:
    write(
        root,
        {
            "a.bin": b"\0",
            "b.txt": b"\xff",
            "c.png": b"x",
            "d.txt": b"x" * 2001,
            "e.PDF": b"\0" * 3000,
            "f.pdf": b"\0" * 5001,
        },
    )
    index = SyncedCollection("folder")
    source = opened(max_file_size_bytes=2000, max_document_size_bytes=5000, document_suffixes=frozenset({".pdf"}))
    await index.sync(source)
    assert index.contents.pop("e.PDF") == b"\0" * 3000
    assert {key: str(value)[9:18] for key, value in index.contents.items()} == {
        "a.bin": "binary: a",
        "b.txt": "not UTF-8",
        "c.png": "image: no",
        "d.txt": "too large",
        "f.pdf": "too large",
    }


async def test_a_missing_folder_fails_and_removes_nothing(root: Path, opened: Open) -> None:
    write(root, {"a": "a"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    root.rename(root.with_name("away"))
    with pytest.raises(NotFoundError, match="nothing was removed"):
        await index.sync(source)
    with pytest.raises(NotFoundError, match="nothing was removed"):
        await index.sync(source, keys=frozenset({"a"}))
    root.write_text("a file")
    with pytest.raises(PermanentError, match="is not a folder"):
        await index.sync(source)
    assert index.contents == {"a": b"a"}


async def test_an_empty_mount_point_in_place_of_the_folder_removes_nothing(root: Path, opened: Open) -> None:
    write(root, {"a": "a"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(PermanentError, match="is it mounted"):
        await index.sync(source)
    assert index.contents == {"a": b"a"}


async def test_a_folder_that_was_emptied_is_believed(root: Path, opened: Open) -> None:
    write(root, {"a": "a"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    (root / "a").unlink()
    assert await index.sync(source) == ["a"]


async def test_a_folder_replaced_during_the_walk_removes_nothing(root: Path, opened: Open) -> None:
    write(root, {f"f{number}": "x" for number in range(600)})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    steps = source.changes(Run(invocation(), index.cursor, index))
    await anext(steps)
    root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(RetryableError, match="replaced during the walk"):
        _ = [step async for step in steps]


@pytest.fixture
def as_nobody(root: Path, tmp_path: Path) -> Iterator[None]:
    """Root may read everything, so give the folder to somebody else and be that one."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    # The runner's own folders, which it keeps to itself; how many there are depends on how many workers it has.
    for folder in (tmp_path, *(parent for parent in tmp_path.parents if "pytest-of-" in str(parent))):
        folder.chmod(0o755)
    os.chown(root, nobody, nobody)
    gc.collect()  # Folders of earlier tests go with their owners, and nobody may not remove them.
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("as_nobody")
async def test_an_unreadable_file_or_folder_fails_alone_and_keeps_what_was_indexed(root: Path, opened: Open) -> None:
    write(root, {"a": "a", "closed/b": "b", "c": "c", "d": "d"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    write(root, {"a": "changed"})
    (root / "a").chmod(0)
    (root / "closed").chmod(0)
    (root / "d").unlink()
    try:
        await index.sync(source)
        failed = index.failed
        steps = [step async for step in source.changes(Run(invocation(), index.cursor, index))]
        incomplete = steps[-1].incomplete if isinstance(steps[-1], Checkpoint) else None
    finally:
        (root / "closed").chmod(0o700)
    assert failed["a"].startswith("a: permission denied")
    assert index.contents["a"] == b"a"
    assert str(index.contents["closed/"]).startswith("failed: permission denied")
    assert index.contents["closed/b"] == b"b"
    assert "d" not in index.contents
    assert incomplete == "folders that could not be read: 1, among them closed/"
    await index.sync(source)
    assert set(index.contents) == {"a", "closed/b", "c"}


@pytest.mark.usefixtures("as_nobody")
async def test_what_is_excluded_by_now_goes_also_beside_a_folder_that_cannot_be_read(root: Path, opened: Open) -> None:
    write(root, {"a": "a", "closed/b": "b", "private/p": "p"})
    index = SyncedCollection("folder")
    await index.sync(opened())
    (root / "closed").chmod(0)
    try:
        await index.sync(opened(exclude_globs=("private/",)))
    finally:
        (root / "closed").chmod(0o700)
    assert set(index.contents) == {"a", "closed/", "closed/b"}


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    root: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, {"a": "x" * 100_000})
    index, source = SyncedCollection("folder"), opened()

    class Meddling(SizeCheck):
        def finish(self) -> None:
            raise AssertionError("a torn copy was accepted")

        def feed(self, piece: bytes) -> None:
            super().feed(piece)
            if (root / "a").stat().st_size > 100_000:
                return
            with (root / "a").open("ab") as file:
                file.write(b"more")

    monkeypatch.setattr("syncd.sources.folder.documents.TextCheck", Meddling)
    with pytest.raises(RetryableError, match="changed while it was being read"):
        await index.sync(source)


async def test_names_that_are_not_utf8_can_be_synced_retried_and_deleted(root: Path, opened: Open) -> None:
    odd = os.fsencode(root) + b"/caf\xe9"
    os.mkdir(odd)
    Path(os.fsdecode(odd + b"/f\xff")).write_bytes(b"x")
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    key = "caf\\xe9/f\\xff"
    assert index.contents == {key: b"x"}
    await index.sync(source, keys=frozenset({key}))
    assert [document.key for document in index.documents] == [key]
    os.unlink(odd + b"/f\xff")
    assert await index.sync(source, keys=frozenset({key})) == [key]
    assert index.contents == {}


async def test_chosen_keys_may_be_files_folders_new_gone_or_ignored(root: Path, opened: Open) -> None:
    write(root, {".gitignore": "*.log", "a": "a", "d/b": "b", "d/c": "c", "e/f": "f", "same": "s"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    cursor = index.cursor
    write(root, {"a": "changed", "new": "n", "x.log": "l", "in/g": "g", "d/c": "changed"})
    (root / "e/f").unlink()
    (root / "e").rmdir()
    (root / "d/b").unlink()
    touched = await index.sync(source, keys=frozenset({"a", "new", "x.log", "in", "e", "d", "never"}))
    assert sorted(touched) == ["a", "d/b", "d/c", "e/f", "in/g", "new"]
    assert index.cursor == cursor
    assert set(index.contents) == {".gitignore", "a", "d/c", "in/g", "new", "same"}


@pytest.mark.parametrize("key", ["../outside", "a/../../b", "/etc/passwd", "", "a//b", "."])
async def test_a_key_that_leads_out_of_the_folder_is_refused(opened: Open, key: str) -> None:
    with pytest.raises(PermanentError, match="is not a path below the folder"):
        await SyncedCollection("folder").sync(opened(), keys=frozenset({key}))


async def test_ids_follow_from_the_sources_name_and_the_path(root: Path, opened: Open) -> None:
    write(root, {"d/a": "a"})
    index = SyncedCollection("folder")
    await index.sync(opened())
    assert index.documents[0].chunk_prefix == chunk_prefix("notes/d/a")
    assert index.documents[0].metadata == {"path": "d/a"}
    assert index.documents[0].changed_at is None


async def test_an_update_says_when_the_file_changed(root: Path, opened: Open) -> None:
    write(root, {"a": "a"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    write(root, {"a": "b"})
    await index.sync(source)
    changed_at = index.documents[0].changed_at
    assert changed_at is not None
    assert changed_at.timestamp() == pytest.approx((root / "a").stat().st_ctime)


@pytest.mark.parametrize("globs", [("",), ("x" * 600,), ("a\nb",), ("*",) * 300, ("\\",)])
def test_a_glob_that_is_none_is_named(opened: Open, globs: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="exclude_globs"):
        opened(exclude_globs=globs)


async def test_walking_leaves_no_file_open(root: Path, opened: Open) -> None:
    write(root, {f"d{number}/e/f{number}": "x" for number in range(300)})
    before = len(os.listdir("/proc/self/fd"))
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    await index.sync(source, die_after=10)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert threading.active_count() < 100, "a run has up to 40 of its own"


def listed_by_git(root: Path) -> set[str]:
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "--quiet", str(root)], env=environment, check=True)
    command = ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout.decode()
    return set(listed.split("\0")) - {""}


NAMES = ["a", "b", "a.py", "c.log"]
PATTERNS = ["a", "*.py", "b/", "/a", "!a", "!*.py", "a/b", "**/c.log", "b/*", "!b/", "#x", "*", "!*/", "a/**", ""]


@pytest.mark.parametrize("seed", range(16))
async def test_git_itself_takes_the_same_files(root: Path, opened: Open, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(25):
        path = root / "/".join(chance.choice(NAMES) for _ in range(chance.randint(1, 4)))
        with contextlib.suppress(OSError):
            write(root, {str(path.relative_to(root)): "x"})
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        if folder == root or chance.random() < 0.4:
            (folder / ".gitignore").write_text("\n".join(chance.sample(PATTERNS, 3)) + "\n")
    listed = listed_by_git(root)
    index = SyncedCollection("folder")
    await index.sync(opened())
    assert set(index.contents) == listed
    assert [document.key for document in index.documents] == sorted(index.contents)
    everything = frozenset(str(path.relative_to(root)) for path in root.rglob("*") if ".git" not in path.parts)
    chosen = SyncedCollection("folder")
    await chosen.sync(opened(), keys=everything)
    assert chosen.contents == index.contents


async def test_a_byte_and_its_spelling_are_two_files(root: Path, opened: Open) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).write_bytes(b"byte")
    write(root, {"caf\\xe9": "spelt"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    assert index.contents == {"caf\\xe9": b"byte", "caf\\x5cxe9": b"spelt"}
    (root / "caf\\xe9").unlink()
    assert await index.sync(source, keys=frozenset(index.contents)) == ["caf\\x5cxe9"]


async def test_what_was_below_a_folder_goes_when_a_file_takes_its_name(root: Path, opened: Open) -> None:
    write(root, {"d/a": "a", "d/e/b": "b", "keep": "k"})
    index, source = SyncedCollection("folder"), opened()
    await index.sync(source)
    (root / "d").rename(root.parent / "moved")
    write(root, {"d": "now a file"})
    await index.sync(source, keys=frozenset({"d"}))
    assert index.contents == {"d": b"now a file", "keep": b"k"}
