import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from syncd.sources.folder.notices import Notices
from syncd.sources.folder.root import Root
from syncd.sources.folder.tree import Tree
from syncd.sources.folder.watch import MAX_PATHS, FolderWatcher, Hint
from syncd.sources.globs import Globs, WalkRules
from tests.processes import wait_until

Hints = AsyncIterator[Hint]


def watcher(root: Path, state: Path | None = None, **settings: float) -> FolderWatcher:
    tree = Tree(Root(root, state=state), Globs(("*",), "include_globs"), WalkRules(("*.tmp",)))
    return FolderWatcher(tree, Notices(), **settings)


def inotify_instances() -> int:
    """How many this process has open."""
    links = (os.path.realpath(link.path) for link in os.scandir("/proc/self/fd"))
    return sum(link.endswith("inotify") for link in links)


@pytest.fixture
async def hints(tmp_path: Path) -> AsyncIterator[Hints]:
    generator = watcher(tmp_path, retry_s=0.01).hints()
    yield generator
    await generator.aclose()


async def until(hints: Hints, is_it: Callable[[set[str]], bool]) -> set[str]:
    """Gather hints until they say what is expected; a burst may arrive in several."""
    seen: set[str] = set()
    with anyio.fail_after(60):
        while not is_it(seen):
            hint = await anext(hints)
            seen |= {"*"} if hint is None else hint
    return seen


async def test_it_begins_with_a_full_walk_and_then_names_what_changes(hints: Hints, tmp_path: Path) -> None:
    assert await anext(hints) is None
    (tmp_path / "a").write_text("a")
    assert await until(hints, lambda seen: "a" in seen) == {"a"}
    (tmp_path / "d").mkdir()
    (tmp_path / "d/b").write_text("b")
    (tmp_path / "a").unlink()
    seen = await until(hints, lambda seen: "a" in seen and bool({"d", "d/b"} & seen))
    assert seen <= {"a", "d", "d/b"}


async def test_a_folder_that_is_watched_is_open_once(hints: Hints, tmp_path: Path) -> None:
    assert await anext(hints) is None
    links = [os.path.realpath(link.path) for link in os.scandir("/proc/self/fd")]
    assert links.count(str(tmp_path)) == 1


async def test_a_folder_that_is_moved_in_or_out_is_named(
    hints: Hints, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "moved").mkdir()
    (outside / "moved/x").write_text("x")
    assert await anext(hints) is None
    (outside / "moved").rename(tmp_path / "moved")
    assert "moved" in await until(hints, bool)
    (tmp_path / "moved").rename(outside / "back")
    assert "moved" in await until(hints, bool)


async def test_what_is_left_out_by_a_rule_gives_no_hint(hints: Hints, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\n*.log\n")
    (tmp_path / "build").mkdir()
    (tmp_path / ".git").mkdir()
    assert await anext(hints) is None
    for name in ("build/x", "a.log", ".git/index", "editor.tmp"):
        (tmp_path / name).write_text("x")
    (tmp_path / "last").write_text("x")
    assert await until(hints, lambda seen: "last" in seen) == {"last"}


async def test_a_changed_gitignore_asks_for_a_full_walk(hints: Hints, tmp_path: Path) -> None:
    assert await anext(hints) is None
    (tmp_path / ".gitignore").write_text("*.log")
    assert await until(hints, bool) == {"*"}


async def test_a_large_burst_asks_for_a_full_walk(hints: Hints, tmp_path: Path) -> None:
    assert await anext(hints) is None
    for number in range(MAX_PATHS + 500):
        (tmp_path / f"f{number}").touch()
    assert "*" in await until(hints, lambda seen: "*" in seen or len(seen) > MAX_PATHS + 499)


async def test_a_folder_that_is_replaced_is_watched_again(hints: Hints, tmp_path: Path) -> None:
    assert await anext(hints) is None
    away = tmp_path.with_name(tmp_path.name + "-away")
    tmp_path.rename(away)
    tmp_path.mkdir()
    assert "*" in await until(hints, lambda seen: "*" in seen)
    (tmp_path / "a").write_text("a")
    assert "a" in await until(hints, lambda seen: "a" in seen)


async def test_where_nothing_can_be_watched_it_asks_for_walks_at_intervals(tmp_path: Path) -> None:
    hints = watcher(tmp_path / "missing", walk_interval_s=0.01, retry_s=0.01).hints()
    assert [await anext(hints) for _ in range(3)] == [None] * 3
    await hints.aclose()


async def test_a_quiet_folder_is_walked_at_intervals(tmp_path: Path) -> None:
    hints = watcher(tmp_path, walk_interval_s=0.01, retry_s=0.01).hints()
    assert [await anext(hints) for _ in range(2)] == [None] * 2
    await hints.aclose()


async def test_cancelling_stops_the_watch_and_frees_what_it_held(tmp_path: Path) -> None:
    async def watch() -> None:
        async for _ in watcher(tmp_path).hints():
            started.set()

    started = anyio.Event()
    task: Callable[[], Awaitable[None]] = watch
    before = inotify_instances()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(task)
        await started.wait()
        tasks.cancel_scope.cancel()
    # A thread of the notifying library closes it, soon after it was told to.
    await wait_until(lambda: inotify_instances() <= before)


@pytest.mark.parametrize("linked", [False, True])
async def test_the_daemons_own_state_gives_no_hint_also_not_through_a_link(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, linked: bool
) -> None:
    home = tmp_path_factory.mktemp("home") if linked else tmp_path
    (home / "state/spool").mkdir(parents=True)
    if linked:
        (tmp_path / "link").symlink_to(home)
    hints = watcher(tmp_path, home / "state", retry_s=0.01).hints()
    try:
        assert await anext(hints) is None
        for name in ("syncd.sqlite-wal", "spool/x"):
            (home / "state" / name).write_text("x")
        (tmp_path / "last").write_text("x")
        assert await until(hints, lambda seen: "last" in seen) == {"last"}
    finally:
        await hints.aclose()


async def test_a_root_swapped_for_a_link_is_not_watched(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    root = tmp_path / "root"
    root.mkdir()
    hints = watcher(root, walk_interval_s=0.01, retry_s=0.01).hints()
    try:
        assert await anext(hints) is None
        root.rename(tmp_path / "away")
        root.symlink_to(outside)
        (outside / "secret").write_text("s")
        assert await until(hints, bool) == {"*"}
        assert [await anext(hints) for _ in range(3)] == [None] * 3
    finally:
        await hints.aclose()
