"""Finds and opens the files below a folder that a source includes, without ever leaving that folder.

Every step down is an `openat` that follows no symbolic link, so neither a link nor a folder swapped for one during the
walk leads outside. Links are skipped even if they point inside: their targets are found where they are. Also skipped are
anything named `.git`, what Git ignores (`.gitignore` files of the folder, each for its own folder and below, the nearest one
winning, and what `repository.py` finds besides),
anything that is not a regular file, and the daemon's own state, which is reported.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncd.errors import PermanentError, RetryableError
from syncd.sources.folder.repository import RulesAbove, repository_rules, rules_above, rules_in
from syncd.sources.folder.root import CLOSED, OPEN_FOLDER, VANISHED, Identity, OpenRoot, Root, entered, identity_of
from syncd.sources.globs import Globs, WalkRules
from syncd.sources.path_keys import key_of, path_of

FOLDER_MAX_DEPTH = 200
"""Each level costs an open file while it is walked; the usual limit for a process is 1024."""

_FORBIDDEN = {errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file; `path` relative to the root, in bytes, with `/`."""

    path: bytes
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder whose files cannot be known; `path` ends with `/`."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A folder (its `path` ends with `/`) or a file that belongs to the daemon's state."""

    path: bytes
    reason: str = CLOSED


Step = Found | Unreadable | Closed
Ignores = tuple[tuple[bytes, WalkRules | RulesAbove], ...]
"""What Git ignores, the strongest rules last, each with the path (ending with `/`, or empty) of the folder they are for."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Which files below `root` are included."""

    root: Root
    include: Globs
    exclude: WalkRules
    gitignore: bool = True

    def walk(self, root: OpenRoot, only: Sequence[bytes] = ()) -> Generator[Step, None, None]:
        """Yield the files below `root`, or of them those at or below the path of names `only`.

        In path order, as git sorts (a folder as if its name ended with `/`). Blocks: run it in a thread. Raises
        RetryableError if the file system fails; files that vanish during the walk are omitted.
        """
        yield from _Walk(self, root.closed).folder(root.descriptor, b"", self.ignores_above(), only)

    def concerns(self, root: OpenRoot, names: Sequence[bytes]) -> bool:
        """Return whether a change at this path may matter; False only if a rule excludes it. Blocks."""
        folder, base, ignores = os.dup(root.descriptor), b"", self.ignores_above()
        try:
            for name in names[:-1]:
                ignores += self.own_ignores(folder, base)
                base += name + b"/"
                if name == b".git" or self.is_left_out(base, ignores):
                    return False
                folder = entered(folder, name)
                if identity_of(os.fstat(folder)) in root.closed:
                    return False
            ignores += self.own_ignores(folder, base)
            return self._takes(folder, names[-1], base + names[-1], ignores, root.closed)
        except OSError:
            # Link targets are watched as well, and our own state changes with every run.
            return not root.leads_into_state(names)
        finally:
            os.close(folder)

    def _takes(self, folder: int, name: bytes, path: bytes, ignores: Ignores, closed: frozenset[Identity]) -> bool:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if name == b".git" or identity_of(status) in closed:
            return False
        if stat.S_ISDIR(status.st_mode):
            return not self.is_left_out(path + b"/", ignores)
        return self.include.match(key_of(path)) and not self.is_left_out(path, ignores)

    def is_left_out(self, path: bytes, ignores: Ignores) -> bool:
        """Return whether a rule excludes this path, which ends with `/` for a folder."""
        if self.exclude.verdict(key_of(path)):
            return True
        for base, rules in reversed(ignores):
            verdict = rules.verdict(key_of(path[len(base) :]))
            if verdict is not None:
                return verdict
        return False

    def own_ignores(self, folder: int, base: bytes) -> Ignores:
        """Return the rules in an open folder, whose path is `base`: its `.gitignore`, and its repository's if it is one."""
        if not self.gitignore:
            return ()
        rules = repository_rules(Path(f"/proc/self/fd/{folder}"))
        own = rules_in(b".gitignore", folder)
        return tuple((base, each) for each in (*rules, *((own,) if own else ())))

    def ignores_above(self) -> Ignores:
        """Return the rules of the repository around the root, if it lies in one."""
        return tuple((b"", rules) for rules in rules_above(self.root.path)) if self.gitignore else ()


@dataclass(frozen=True, slots=True)
class _Walk:
    """One way down a tree, past what is closed to it."""

    tree: Tree
    closed: frozenset[Identity]

    def folder(self, folder: int, base: bytes, ignores: Ignores, only: Sequence[bytes]) -> Generator[Step, None, None]:
        """Yield what is in an open folder, whose path is `base`, and below it."""
        try:
            names = [(only[0], _is_folder(folder, only[0]))] if only else _listed(folder)
        except OSError as error:
            yield from _unlisted(error, base)
            return
        ignores += self.tree.own_ignores(folder, base)
        for name, is_folder in names:
            path = base + name
            if name == b".git" or self.tree.is_left_out(path + b"/" if is_folder else path, ignores):
                continue
            if is_folder:
                yield from self._below(folder, name, path + b"/", ignores, only[1:])
            elif len(only) <= 1 and self.tree.include.match(key_of(path)):
                yield from self._file(folder, name, path)

    def _below(
        self, folder: int, name: bytes, base: bytes, ignores: Ignores, only: Sequence[bytes]
    ) -> Generator[Step, None, None]:
        if base.count(b"/") > FOLDER_MAX_DEPTH:
            yield Unreadable(base, f"nested deeper than {FOLDER_MAX_DEPTH} folders")
            return
        try:
            below = os.open(name, OPEN_FOLDER, dir_fd=folder)
        except OSError as error:
            yield from _unlisted(error, base)
            return
        try:
            if identity_of(os.fstat(below)) in self.closed:
                yield Closed(base)
            else:
                yield from self.folder(below, base, ignores, only)
        finally:
            os.close(below)

    def _file(self, folder: int, name: bytes, path: bytes) -> Generator[Step, None, None]:
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in VANISHED:
                raise RetryableError(f"{key_of(path)} cannot be examined: {error.strerror}") from error
            return
        if stat.S_ISREG(status.st_mode):
            yield Closed(path) if identity_of(status) in self.closed else Found(path, status)


def names_of(key: str) -> list[bytes]:
    """Return the names a key is made of. Raises PermanentError for a key that no file below a folder can have."""
    names = path_of(key).removesuffix(b"/").split(b"/")
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise PermanentError(f"{key[:120]!r} is not a path below the folder")
    return names


def _listed(folder: int) -> list[tuple[bytes, bool]]:
    with os.scandir(folder) as entries:
        names = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    return sorted(names, key=lambda entry: entry[0] + b"/" if entry[1] else entry[0])


def _is_folder(folder: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _unlisted(error: OSError, base: bytes) -> Generator[Unreadable, None, None]:
    if error.errno in _FORBIDDEN:
        yield Unreadable(base, "permission denied: the daemon's user cannot read this folder")
    elif error.errno not in VANISHED:
        raise RetryableError(f"folder {key_of(base) or '/'} cannot be listed: {error.strerror}") from error
