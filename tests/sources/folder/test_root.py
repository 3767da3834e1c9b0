"""A source's folder is opened by its real path at every run, and the daemon's own state is in none."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import pytest

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.model import Document, Run
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.root import ClosedError
from syncd.sources.folder.source import FolderTreeSource
from tests.sources.running import SyncedCollection, invocation

SECRET = b"the administrator's token"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "allowed/root").mkdir(parents=True)
    (tmp_path / "allowed/root/a").write_text("a")
    return tmp_path / "allowed/root"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return made(tmp_path / "state")


def made(state: Path) -> Path:
    (state / "uploads").mkdir(parents=True)
    (state / "token").write_bytes(SECRET)
    (state / "uploads/a").write_bytes(SECRET)
    return state


def opened(path: Path, **settings: object) -> FolderTreeSource:
    return FolderTreeSource(FolderSettings(**{"id_root": "notes", "path": path, **settings}))  # type: ignore[arg-type]


@pytest.mark.parametrize("swapped", ["allowed/root", "allowed"])
async def test_a_root_swapped_for_a_link_after_the_check_is_not_followed(
    root: Path, state: Path, tmp_path: Path, swapped: str
) -> None:
    (state / "root").mkdir()
    (state / "root/token").write_bytes(SECRET)
    index, source = SyncedCollection("folder"), opened(root)
    await index.sync(source)
    (tmp_path / swapped).rename(tmp_path / "away")
    (tmp_path / swapped).symlink_to(state)
    for keys in (None, frozenset({"token"})):
        with pytest.raises(PermanentError, match="was replaced by a symbolic link, which is not followed"):
            await index.sync(source, keys=keys)
    assert index.contents == {"a": b"a"}


async def test_a_root_swapped_for_a_link_during_the_run_is_not_followed(root: Path, state: Path) -> None:
    (root / "token").write_text("harmless")
    steps = opened(root).changes(Run(invocation(), None, SyncedCollection("folder")))
    documents = [await anext(steps) for _ in range(3)][1:]
    root.rename(root.with_name("away"))
    root.symlink_to(state)
    for document in documents:
        assert isinstance(document, Document)
        assert document.body is not None
        with pytest.raises(PermanentError, match="symbolic link"):
            async with document.body.open():
                pass
    with pytest.raises(PermanentError, match="symbolic link"):
        _ = [step async for step in steps]


async def test_a_file_is_not_read_from_another_folder_than_was_walked(root: Path) -> None:
    steps = opened(root).changes(Run(invocation(), None, SyncedCollection("folder")))
    document = [await anext(steps) for _ in range(2)][1]
    root.rename(root.with_name("away"))
    root.mkdir()
    (root / "a").write_text("another")
    assert isinstance(document, Document)
    assert document.body is not None
    with pytest.raises(RetryableError, match="replaced during the walk"):
        async with document.body.open():
            pass
    await steps.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("where", ["", "deep/below"])
async def test_the_state_below_a_root_is_left_out_and_that_is_said(root: Path, where: str) -> None:
    state = made(root / where / "state")
    (state / "inside").mkdir()
    (state / "inside/b").write_bytes(SECRET)
    index, source = SyncedCollection("folder"), opened(root, state=state)
    await index.sync(source)
    key = f"{where}/state/".removeprefix("/")
    assert index.contents == {
        "a": b"a",
        key: "skipped: the daemon's own state, with its tokens and keys, is never read",
    }
    assert await index.sync(source) == []
    await index.sync(source, keys=frozenset({f"{key}token", f"{key}inside/b"}))
    assert [document.key for document in index.documents] == [key]
    assert SECRET not in index.contents.values()


async def test_what_was_indexed_of_the_state_before_goes(root: Path) -> None:
    state = made(root / "state")
    index = SyncedCollection("folder")
    await index.sync(opened(root))
    assert SECRET in index.contents.values()
    await index.sync(opened(root, state=state))
    assert set(index.contents) == {"a", "state/"}


async def test_a_walk_that_could_not_see_everything_keeps_saying_so_of_the_state(root: Path) -> None:
    state = made(root / "state")
    index, source = SyncedCollection("folder"), opened(root, state=state)
    await index.sync(opened(root))
    deep = root
    for _ in range(202):
        deep /= "d"
    os.makedirs(deep)
    await index.sync(source)
    assert index.contents.pop("state/") == "skipped: the daemon's own state, with its tokens and keys, is never read"
    assert SECRET not in index.contents.values()


async def test_the_states_files_are_not_read_under_another_name(root: Path, state: Path) -> None:
    (root / "notes.txt").hardlink_to(state / "token")
    (state / "link").symlink_to(root)
    index = SyncedCollection("folder")
    await index.sync(opened(root, state=state))
    assert set(index.contents) == {"a", "notes.txt"}
    assert str(index.contents["notes.txt"]).startswith("skipped: the daemon's own state")


@pytest.fixture
def mounted(root: Path, state: Path) -> Iterator[dict[str, Path]]:
    """The state folder, one folder in it and the folder above it, each under another name as well."""
    places = {name: root.with_name(f"mounted-{name}") for name in ("state", "uploads", "above")}
    sources = {"state": state, "uploads": state / "uploads", "above": state.parent}
    done: list[Path] = []
    try:
        for name, place in places.items():
            place.mkdir()
            if subprocess.run(["mount", "--bind", sources[name], place], capture_output=True).returncode:
                pytest.skip("mounting needs privileges")
            done.append(place)
        yield places
    finally:
        for place in reversed(done):
            subprocess.run(["umount", place], check=True)


async def test_a_bind_mount_does_not_open_the_state(mounted: dict[str, Path], state: Path) -> None:
    for name in ("state", "uploads"):
        with pytest.raises(ClosedError):
            await SyncedCollection("folder").sync(opened(mounted[name], state=state))
    index = SyncedCollection("folder")
    await index.sync(opened(mounted["above"], state=state))
    assert "skipped" in str(index.contents["state/"])
    assert SECRET not in index.contents.values()


@pytest.mark.parametrize("inside", ["", "uploads"])
async def test_a_root_that_is_or_lies_in_the_state_folder_is_refused(state: Path, inside: str) -> None:
    with pytest.raises(ClosedError, match=f"is never read; name a folder outside {state}"):
        await SyncedCollection("folder").sync(opened(state / inside, state=state))


async def test_a_link_of_the_owners_is_followed_as_it_was_declared(tmp_path: Path, root: Path, state: Path) -> None:
    current = tmp_path / "current"
    current.symlink_to(root)
    index, source = SyncedCollection("folder"), opened(root, declared_path=current)
    await index.sync(source)
    assert index.contents == {"a": b"a"}
    current.unlink()
    current.symlink_to(state)
    with pytest.raises(PermanentError, match=f"led to {root} .* leads to {state} now; nothing was removed: reload"):
        await index.sync(source)


async def test_a_root_stays_below_an_allowed_one_or_is_not_opened(tmp_path: Path, root: Path) -> None:
    await SyncedCollection("folder").sync(opened(root, allowed_roots=(tmp_path / "allowed",)))
    with pytest.raises(PermanentError, match=r"name one above it under folder\.allowed_roots"):
        await SyncedCollection("folder").sync(opened(root, allowed_roots=(tmp_path / "other",)))


async def test_a_folder_that_may_be_passed_but_not_listed_may_hold_a_root(root: Path) -> None:
    for folder in (root, *(parent for parent in root.parents if parent.is_relative_to(gettempdir()))):
        if str(folder) != gettempdir():
            folder.chmod(0o755)
    root.parent.chmod(0o711)
    own, nobody = os.geteuid(), 65534
    if own == 0:  # may list everything
        os.seteuid(nobody)
    index = SyncedCollection("folder")
    try:
        await index.sync(opened(root))
    finally:
        os.seteuid(own)
    assert index.contents == {"a": b"a"}


@pytest.mark.parametrize("path", ["relative", "/a/../b"])
async def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(PermanentError, match="must be an absolute path"):
        await SyncedCollection("folder").sync(opened(Path(path)))


async def test_a_missing_folder_is_still_told_from_a_replaced_one(root: Path) -> None:
    with pytest.raises(NotFoundError, match="is it mounted"):
        await SyncedCollection("folder").sync(opened(root / "missing"))
    with pytest.raises(PermanentError, match="is not a folder"):
        await SyncedCollection("folder").sync(opened(root / "a"))


def test_what_is_missing_where_a_share_was_mounted_is_held_and_nothing_else(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    program = [sys.executable, "-m", "tests.sources.folder.unmounting", str(tmp_path / "root")]
    done = subprocess.run([*alone, *program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
