"""What the kernel tells of changes in many folders, by few of its watchers.

Linux lets a user have 128 of them (fs.inotify.max_user_instances), and a daemon may have ten thousand folders: those whose watch begins at
about the same time share one, and its thread.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from threading import Event, Thread

import anyio
from anyio import CapacityLimiter, to_thread
from watchfiles import watch

from syncd.sources.path_keys import key_of

MAX_SHARING = 256
"""Folders by one watcher: ten thousand make forty."""
JOINING_S = 0.1
"""How long the first waits for others, where few folders are watched."""
FOLDERS_PER_JOINING_S = 500
MAX_JOINING_S = 10.0
"""With more folders it waits for longer: their watches begin one after the other while a start is busy, and a watcher every tenth of a
second would be too many for the kernel. At sixty folders a second ten thousand then make some seventy watchers.
"""
DEBOUNCE_MS = 1600
STEP_MS = 200
"""A burst ends after this much quiet, or after the debounce at the latest."""
TICK_MS = 1000
"""How long stopping may take."""
CHECKS_PER_S = 50
"""How many folders are looked at in a second, whether they were replaced: half a CPU millisecond each."""
MIN_TICK_S = 1.0
FILES_FOR_ALL_ELSE = 2_000
"""So many of the files that the process may open are not for watching folders; half of them where it may open few."""

_PREFIX = "/proc/self/fd/"


class NoticedFolder:
    """A folder that is watched. It has a descriptor of its own, since the watcher knows it by that."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = os.dup(descriptor)
        self.is_left = False
        self.opened = anyio.Event()
        """Set once it is watched, or cannot be."""
        self._arrived = anyio.Event()
        self._keys: set[str] = set()
        self._error: Exception | None = None

    async def next(self, timeout_s: float) -> set[str]:
        """Wait for changes, at most so long, and return the keys of what changed. Raises OSError or RuntimeError."""
        with anyio.move_on_after(timeout_s):
            await self._arrived.wait()
        if self._error:
            raise self._error
        self._arrived, keys, self._keys = anyio.Event(), self._keys, set()
        return keys

    def tell(self, key: str) -> None:
        """Hear of a change."""
        self._keys.add(key)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """Hear that it is not watched, or not any more."""
        self._error = error
        self._arrived.set()


class Notices:
    """The watchers of all folders of the daemon."""

    def __init__(self) -> None:
        self._gathering: list[NoticedFolder] = []
        self._count = 0

    @property
    def tick_s(self) -> float:
        """How often each folder is looked at, whether it is the same: every second if they are not many."""
        return max(MIN_TICK_S, self._count / CHECKS_PER_S)

    @property
    def joining_s(self) -> float:
        """How long a folder now waits for others to share a watcher with."""
        return min(max(JOINING_S, self._count / FOLDERS_PER_JOINING_S), MAX_JOINING_S)

    def of(self, descriptor: int) -> AbstractAsyncContextManager[NoticedFolder]:
        """Watch the folder that a descriptor is of, whatever happens to its name; the descriptor may be closed as soon as this returns.

        Entering waits for others; the folder's `next` says if it failed. Raises RuntimeError where too few files would be left for all else.
        """
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit != resource.RLIM_INFINITY and self._count >= max(limit - FILES_FOR_ALL_ELSE, limit // 2):
            raise RuntimeError(
                f"{self._count} folders are watched, each with an open file, of which the process may have {limit}; "
                "raise LimitNOFILE of the service, or `ulimit -n`"
            )
        return self._watching(NoticedFolder(descriptor))

    @asynccontextmanager
    async def _watching(self, folder: NoticedFolder) -> AsyncGenerator[NoticedFolder]:
        gathered = self._gathering
        gathered.append(folder)
        self._count += 1
        try:
            if len(gathered) == MAX_SHARING:
                self._gathering = []
            if len(gathered) == 1:
                # Others wait for what the first one does.
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(self.joining_s)
                    self._gathering = [] if self._gathering is gathered else self._gathering
                    await open_shared(gathered)
            await folder.opened.wait()
            yield folder
        finally:
            self._count -= 1
            folder.is_left = True


class SharedWatcher:
    """One of the kernel's watchers, and the thread that reads it until the last folder is left."""

    def __init__(self, folders: Sequence[NoticedFolder], events: Generator[set[str]], stop: Event) -> None:
        self._folders = {f"{_PREFIX}{folder.descriptor}": folder for folder in folders}
        self._events = events
        self._stop = stop
        self._loop = asyncio.get_running_loop()

    def begin(self, first: set[str]) -> None:
        """Start the thread. `first`: what came already."""
        self._hear(first)
        Thread(target=self._read, name="folder notices", daemon=True).start()

    def _read(self) -> None:
        # The loop may have ended before the thread.
        with suppress(RuntimeError):
            try:
                for paths in self._events:
                    self._loop.call_soon_threadsafe(self._hear, paths)
                ended = RuntimeError("the watch ended")
            except (OSError, RuntimeError) as error:
                ended = error
            self._loop.call_soon_threadsafe(self._fail, ended)
            self._loop.call_soon_threadsafe(close_all, [*self._folders.values()])

    def _hear(self, paths: set[str]) -> None:
        for path in paths:
            end = path.find("/", len(_PREFIX))
            if end > 0 and (folder := self._folders.get(path[:end])):
                folder.tell(key_of(os.fsencode(path[end + 1 :])))
        if all(folder.is_left for folder in self._folders.values()):
            self._stop.set()

    def _fail(self, error: Exception) -> None:
        for folder in self._folders.values():
            folder.fail(error)


async def open_shared(folders: Sequence[NoticedFolder]) -> None:
    """Watch folders by one watcher; where that fails, by several, so that only those fail that cannot be watched."""
    stop = Event()
    events = _events([f"{_PREFIX}{folder.descriptor}" for folder in folders], stop)
    try:
        first = await to_thread.run_sync(next, events, limiter=CapacityLimiter(1))
    except (OSError, RuntimeError) as error:
        if len(folders) > 1:
            middle = len(folders) // 2
            await open_shared(folders[:middle])
            await open_shared(folders[middle:])
            return
        folders[0].fail(error)
        close_all(folders)
    else:
        SharedWatcher(folders, events, stop).begin(first)
    for folder in folders:
        folder.opened.set()


def close_all(folders: Sequence[NoticedFolder]) -> None:
    """Close the folders' descriptors, which a watcher has used up to its end: the kernel may give their numbers to others."""
    for folder in folders:
        os.close(folder.descriptor)


def _events(paths: Sequence[str], stop: Event) -> Generator[set[str]]:
    """Yield the absolute paths that changed, or an empty set at every tick. Raises OSError or RuntimeError."""
    for changes in watch(
        *paths,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=TICK_MS,
        yield_on_timeout=True,
        stop_event=stop,
        ignore_permission_denied=True,
        raise_interrupt=False,
    ):
        yield {path for _, path in changes}
