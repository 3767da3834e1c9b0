import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import watchfiles

from syncd.sources.folder.notices import MAX_SHARING, NoticedFolder, Notices
from tests.processes import wait_until
from tests.sources.folder.test_watch import inotify_instances


def made(tmp_path: Path, count: int) -> list[Path]:
    folders = [tmp_path / f"{number:03}" for number in range(count)]
    for folder in folders:
        folder.mkdir()
    return folders


@asynccontextmanager
async def noticed(notices: Notices, folders: list[Path]) -> AsyncIterator[list[NoticedFolder]]:
    """Watch all folders, which begin together."""
    found: list[NoticedFolder | None] = [None] * len(folders)

    async with AsyncExitStack() as stack:

        async def enter(place: int) -> None:
            descriptor = os.open(folders[place], os.O_RDONLY | os.O_DIRECTORY)
            try:
                watch = notices.of(descriptor)
                found[place] = await watch.__aenter__()
                stack.push_async_exit(watch)
            finally:
                os.close(descriptor)

        async with anyio.create_task_group() as group:
            for place in range(len(folders)):
                group.start_soon(enter, place)
        yield [folder for folder in found if folder]


async def until_told(folder: NoticedFolder) -> set[str]:
    with anyio.fail_after(60):
        while not (keys := await folder.next(1.0)):
            pass
        return keys


async def test_many_folders_share_a_few_watchers_and_each_hears_of_its_own_changes(tmp_path: Path) -> None:
    notices, before, folders = Notices(), inotify_instances(), made(tmp_path, MAX_SHARING + 10)
    async with noticed(notices, folders) as found:
        assert inotify_instances() - before <= 2
        for place in (0, 7, MAX_SHARING + 9):
            (folders[place] / f"file-{place}").touch()
        for place in (0, 7, MAX_SHARING + 9):
            assert await until_told(found[place]) == {f"file-{place}"}
        assert await found[8].next(0.0) == set()
    await wait_until(lambda: inotify_instances() <= before)


async def test_one_that_cannot_be_watched_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = made(tmp_path, 9)

    def refusing(*paths: str, **options: Any) -> Iterator[Any]:
        if str(folders[4]) in map(os.path.realpath, paths):
            raise OSError("no watches left")
        yield from watchfiles.watch(*paths, **options)

    monkeypatch.setattr("syncd.sources.folder.notices.watch", refusing)
    async with noticed(Notices(), folders) as found:
        with pytest.raises(OSError, match="no watches left"):
            await found[4].next(60.0)
        for place in (0, 3, 5, 8):
            (folders[place] / "x").touch()
            assert await until_told(found[place]) == {"x"}


async def test_who_leaves_takes_nothing_from_the_others(tmp_path: Path) -> None:
    notices, (first, second) = Notices(), made(tmp_path, 2)
    async with noticed(notices, [first, second]) as (_, stays):
        async with noticed(notices, [first]) as (again,):
            (first / "a").touch()
            assert await until_told(again) == {"a"}
        (second / "b").touch()
        assert await until_told(stays) == {"b"}


async def test_folders_are_looked_at_every_second_unless_they_are_very_many(tmp_path: Path) -> None:
    notices = Notices()
    assert notices.tick_s == 1.0
    async with noticed(notices, made(tmp_path, 100)):
        assert notices.tick_s == 2.0
    assert notices.tick_s == 1.0


async def test_the_more_are_watched_the_longer_a_folder_waits_for_others_to_share_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.sources.folder.notices.FOLDERS_PER_JOINING_S", 40)
    notices, slept = Notices(), []
    sleep = anyio.sleep

    async def noting(delay_s: float) -> None:
        slept.append(delay_s)
        await sleep(0.0)

    monkeypatch.setattr("syncd.sources.folder.notices.anyio.sleep", noting)
    async with noticed(notices, made(tmp_path, 20)):
        (tmp_path / "one more").mkdir()
        async with noticed(notices, [tmp_path / "one more"]):
            assert slept[0] < slept[-1] == 21 / 40


async def test_no_folder_is_watched_whose_open_file_something_else_would_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.sources.folder.notices.resource.getrlimit", lambda _: (24, 24))
    notices, folders = Notices(), made(tmp_path, 13)
    async with noticed(notices, folders[:12]):
        with pytest.raises(RuntimeError, match=r"12 folders are watched.* may have 24; raise LimitNOFILE"):
            notices.of(0)
    async with noticed(notices, folders[12:]):
        pass


async def test_where_any_number_of_files_may_be_open_any_number_of_folders_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr("syncd.sources.folder.notices.resource.getrlimit", lambda _: (unlimited, unlimited))
    async with noticed(Notices(), made(tmp_path, 2)) as found:
        assert len(found) == 2
