"""Notices changes below a folder as they happen, and yields the paths to check.

Hints may be incomplete. Lost events, names that are not UTF-8 and changes behind symbolic links are covered by a full
walk, which the watcher requests at its start, at intervals, and whenever events may have been lost.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

from anyio import CapacityLimiter, current_time, sleep, to_thread

from syncd.errors import PermanentError, RetryableError, SyncdError
from syncd.model.watching import Report, unreported
from syncd.sources.folder.notices import Notices
from syncd.sources.folder.root import Identity
from syncd.sources.folder.tree import Tree, names_of

MAX_PATHS = 1000
"""A larger burst (a checkout, an unpacked archive) is cheaper to walk, and may have overflowed the kernel's queue of
16,384 events, which the notification library does not report."""
WALK_INTERVAL_S = 3600.0
"""How long a lost event can stay unseen."""
RETRY_S = 5.0
"""How often a folder that cannot be watched (missing, no inotify watches left) is tried again."""

Hint = frozenset[str] | None
"""Paths below the folder to check; None: check everything."""


class FolderWatcher:
    """Watches the files of one tree."""

    def __init__(
        self,
        tree: Tree,
        notices: Notices,
        report: Report = unreported,
        walk_interval_s: float = WALK_INTERVAL_S,
        retry_s: float = RETRY_S,
    ) -> None:
        """`report` is told whether the folder can be watched."""
        self._tree = tree
        self._notices = notices
        self._report = report
        self._walk_interval_s = walk_interval_s
        self._retry_s = retry_s
        self._thread = CapacityLimiter(1)

    async def hints(self) -> AsyncGenerator[Hint, None]:
        """Yield None once watching has begun, then the paths to check; never ends by itself.

        Changes made while the caller is busy are part of the next hint. If the system cannot watch, yields None at
        every interval. Stopping takes up to `notices.TICK_MS`.
        """
        walked_at = -self._walk_interval_s
        while True:
            async with aclosing(self._watched()) as hints:
                async for hint in hints:
                    due = current_time() - walked_at >= self._walk_interval_s
                    if hint is None or due:
                        walked_at = current_time()
                        yield None
                    elif hint:
                        yield hint
            if current_time() - walked_at >= self._walk_interval_s:
                walked_at = current_time()
                yield None
            await sleep(self._retry_s)

    async def _watched(self) -> AsyncGenerator[Hint, None]:
        """Yield None, then a hint per burst or tick; end where the folder cannot be watched or is not the same."""
        try:
            async with aclosing(self._bursts()) as hints:
                async for hint in hints:
                    self._report("", 0.0)
                    yield hint
        except (OSError, RuntimeError, SyncdError) as error:
            # The system's own error, the library's error when inotify is exhausted, and an unavailable folder.
            self._report(f"{self._tree.root.path} cannot be watched: {error}", self._retry_s)

    async def _bursts(self) -> AsyncGenerator[Hint, None]:
        # Not open all the while: one file for each of ten thousand folders, which the watch has, is enough.
        with self._tree.root.opened() as root:
            watched = self._notices.of(root.descriptor)
        async with watched as folder:
            first = True
            while True:
                keys = await folder.next(0.0 if first else self._notices.tick_s)
                hint = await to_thread.run_sync(self._next, keys, root.identity, limiter=self._thread)
                yield None if first else hint
                first = False

    def _next(self, keys: set[str], identity: Identity) -> Hint:
        """Return the hint. Raises SyncdError where the folder is not the same any more, or is not to be had."""
        with self._tree.root.opened() as now:
            if now.identity != identity:
                raise RetryableError(f"{self._tree.root.path} was replaced")
            if len(keys) > MAX_PATHS or any(changes_more(key) for key in keys):
                return None
            try:
                return frozenset(key for key in keys if self._tree.concerns(now, names_of(key)))
            except PermanentError:
                return None


def changes_more(key: str) -> bool:
    """Return whether a change of this file is one of others too, or of a name that the library could not read."""
    return os.path.basename(key) == ".gitignore" or "\ufffd" in key
