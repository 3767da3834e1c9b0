"""A folder of this machine as a source.

Keys are paths below the folder; `tree` decides which files are included. A version is `mtime-size-inode-ctime`, so a walk
reads no file: only a change of the same size within one tick of the file system's clock goes unnoticed until the next
change. A touched or replaced file is read again; where its bytes are what they were, nothing is parsed or embedded.

If the whole folder disappears, nothing is removed; if another one takes its place, such as the empty mount point of a
share, what is missing in it is held. So is what is missing below a folder where something else was mounted before.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from syncd.errors import PermanentError, RetryableError
from syncd.model import Changes, Checkpoint, Document, Run, Suspicion, Total
from syncd.sources.folder.documents import FolderDocuments, FolderSettings
from syncd.sources.folder.mounts import lost_mounts, mounts_below
from syncd.sources.folder.root import OpenRoot, is_missing, is_same
from syncd.sources.folder.tree import (
    Closed,
    Found,
    Step,
    Tree,
    Unreadable,
    names_of,
)
from syncd.sources.globs import Globs, WalkRules
from syncd.sources.path_keys import key_of

OTHER = "is a different folder than before (is it mounted?): what is missing in it stays until it is confirmed"
BATCH_SIZE = 256
"""Files per hop into the thread: enough to make hops cheap, few enough to start soon and to stop soon."""


@dataclass(slots=True)
class _Walk:
    """What a walk has seen so far."""

    root: OpenRoot
    mounts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What was mounted below it at the start."""
    files: int = 0
    unreadable: set[str] = field(default_factory=set[str])
    closed: set[str] = field(default_factory=set[str])

    def gaps(self) -> str:
        """Return which folders could not be read; '' if all could."""
        if not self.unreadable:
            return ""
        return f"folders that could not be read: {len(self.unreadable)}, among them {min(self.unreadable) or '/'}"


class FolderTreeSource:
    """One folder. Runs may overlap."""

    def __init__(self, settings: FolderSettings, spool_folder: Path | None = None) -> None:
        """Raises ConfigError for an invalid glob; the folder itself is checked by each run."""
        include = Globs(settings.include_globs, "include_globs")
        exclude = WalkRules(settings.exclude_globs, "exclude_globs")
        self.tree = Tree(settings.root, include, exclude, settings.gitignore)
        self._settings = settings
        self._made = FolderDocuments(settings, spool_folder)
        self._threads = CapacityLimiter(2)

    async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint | Total]:
        """Yield every file, in path order; with `run.keys`, the files at and below those paths, vanished ones included.

        Raises NotFoundError or PermanentError if the folder is unavailable, RetryableError if it fails half-way;
        in neither case is anything removed.
        """
        with self._settings.root.opened() as root:
            steps = self._everything(run, root) if run.keys is None else self._chosen(run, run.keys, root)
            async with aclosing(steps):
                async for step in steps:
                    yield step

    async def _everything(self, run: Run, root: OpenRoot) -> Changes:
        walk = _Walk(root, await to_thread.run_sync(mounts_below, root))
        if not run.cursor:
            yield Total(await self._count(root))
        async with aclosing(self._documents(run, self.tree.walk(root), walk)) as documents:
            async for document in documents:
                yield document
        suspicion = await to_thread.run_sync(self._check_root, walk, run.earlier_cursor)
        if walk.unreadable:
            async with aclosing(self._missing(run, root, walk)) as documents:
                async for document in documents:
                    yield document
        cursor = json.dumps({"root": root.fingerprint(), "mounts": walk.mounts})
        yield Checkpoint(cursor, not walk.unreadable, incomplete=walk.gaps(), suspicion=suspicion)

    async def _count(self, root: OpenRoot) -> int:
        async with aclosing(self._batches(self.tree.walk(root))) as batches:
            return sum([len(batch) async for batch in batches])

    def _check_root(self, walk: _Walk, cursor: str | None) -> Suspicion | None:
        """Return why what is missing may not be gone, or None.

        Raise if anything was unmounted during the walk, or the folder before it and is empty, so that nothing is concluded from it.
        """
        path = self._settings.path
        with self._settings.root.opened() as root:
            if root.identity != walk.root.identity or lost_mounts(walk.mounts, mounts_below(root)):
                raise RetryableError(f"{path} was replaced during the walk, or a folder in it; nothing was removed")
        if not self._is_other(walk.root, cursor):
            lost = lost_mounts(mounts_before(cursor), walk.mounts)
            return Suspicion(f"{path}/{lost[0]} {OTHER}", lost) if lost else None
        if not walk.files:
            raise PermanentError(
                f"{path} is empty and is a different folder than before (is it mounted?); nothing was removed"
            )
        return Suspicion(f"{path} {OTHER}")

    def _is_other(self, root: OpenRoot, cursor: str | None) -> bool:
        """Return whether this is another folder than the one that the last run saw."""
        return bool(cursor) and not is_same(str(json.loads(cursor)["root"]), root.fingerprint())

    async def _chosen(self, run: Run, keys: frozenset[str], root: OpenRoot) -> Changes:
        walk, seen = _Walk(root), set[str]()
        unmounted = lost_mounts(mounts_before(run.earlier_cursor), await to_thread.run_sync(mounts_below, root))
        for key in sorted(keys):
            async with aclosing(self._documents(run, self._at(root, key), walk)) as documents:
                async for document in documents:
                    if document.key not in seen:
                        seen.add(document.key)
                        yield document
        if not self._is_other(root, run.earlier_cursor):
            async with aclosing(self._vanished(run, keys, seen, (*walk.unreadable, *unmounted))) as documents:
                async for document in documents:
                    yield document
        yield Checkpoint(run.cursor or "")

    async def _vanished(
        self, run: Run, keys: frozenset[str], seen: set[str], blind: tuple[str, ...]
    ) -> AsyncGenerator[Document]:
        """Yield as gone what is known at or below `keys` and was not found there, except in folders that are `blind`.

        Also below what is a file by now: a folder of that name has gone.
        """
        lost = {key for key in keys - seen if not key.startswith(blind)}
        files = {key for key in lost if await run.known.version(key) is not None}
        for key in sorted(files):
            yield self._made.gone(key)
        folders = tuple(key.removesuffix("/") + "/" for key in (lost - files) | (keys & seen))
        if folders:
            async for key in run.known.keys():
                if key.startswith(folders) and key not in seen | files and not key.startswith(blind):
                    yield self._made.gone(key)

    def _at(self, root: OpenRoot, key: str) -> Generator[Step, None, None]:
        yield from self.tree.walk(root, names_of(key))

    async def _documents(
        self, run: Run, steps: Generator[Step, None, None], walk: _Walk
    ) -> AsyncGenerator[Document, None]:
        async with aclosing(self._batches(steps)) as batches:
            async for batch in batches:
                for step in batch:
                    if isinstance(step, Found):
                        walk.files += 1
                        yield self._made.document(walk.root, step, is_update=bool(run.cursor))
                    else:
                        yield self._left_out(step, walk)

    def _left_out(self, step: Unreadable | Closed, walk: _Walk) -> Document:
        (walk.unreadable if isinstance(step, Unreadable) else walk.closed).add(key_of(step.path))
        return self._made.left_out(step)

    async def _batches(self, steps: Generator[Step, None, None]) -> AsyncGenerator[list[Step], None]:
        try:
            while batch := await to_thread.run_sync(lambda: list(islice(steps, BATCH_SIZE)), limiter=self._threads):
                yield batch
        finally:
            steps.close()

    async def _missing(self, run: Run, root: OpenRoot, walk: _Walk) -> AsyncGenerator[Document, None]:
        """Yield as gone what certainly is, or is left out by now, after a walk that could not see everything."""
        blind = tuple(walk.unreadable | walk.closed)
        async for key in run.known.keys():
            if key.endswith("/"):
                is_gone = key not in blind
            else:
                is_gone = await to_thread.run_sync(self._is_gone, root, key, blind, limiter=self._threads)
            if is_gone:
                yield self._made.gone(key)

    def _is_gone(self, root: OpenRoot, key: str, blind: tuple[str, ...]) -> bool:
        names = names_of(key)
        return is_missing(root, names) or not (key.startswith(blind) or self.tree.concerns(root, names))


def mounts_before(cursor: str | None) -> Mapping[str, str]:
    """Return what was mounted below the folder at the run that a cursor is of; earlier versions did not note it."""
    return json.loads(cursor).get("mounts", {}) if cursor else {}
