"""The files below a folder that a source takes, found and opened without ever leaving that folder.

Every step down is an `openat` that follows no symbolic link, so neither a link nor a folder swapped for one during the
walk leads outside. Links are left out, also those that stay inside: what they point to is found where it is. Left out
too: anything named `.git`, what `.gitignore` files say (each for its own folder and below, the nearest one deciding),
and what is no regular file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.sources.globs import Globs, WalkRules

MAX_DEPTH = 200
"""Each level costs an open file while it is walked; the usual limit for a process is 1024."""
MAX_IGNORE_FILE_BYTES = 1024 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_VANISHED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
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


Step = Found | Unreadable
Ignores = tuple[tuple[bytes, WalkRules], ...]
"""The `.gitignore` files from the root down, each with the path (ending with `/`, or empty) of its folder."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Which files below `root` are taken."""

    root: Path
    include: Globs
    exclude: WalkRules
    gitignore: bool = True

    def walk(self, root: int, only: Sequence[bytes] = ()) -> Generator[Step, None, None]:
        """Yield the files below the open folder `root`, or of them those at or below the path of names `only`.

        In path order, as git sorts (a folder as if its name ended with `/`). Blocks: run it in a thread. Raises
        RetryableError where the file system fails; what vanishes meanwhile is left out.
        """
        yield from self._folder(root, b"", (), only)

    def concerns(self, root: int, names: Sequence[bytes]) -> bool:
        """Tell whether a change at this path may matter; False only where a rule leaves it out. Blocks."""
        folder, base, ignores = os.dup(root), b"", Ignores()
        try:
            for name in names[:-1]:
                ignores += self._own_ignores(folder, base)
                base += name + b"/"
                if name == b".git" or self._is_left_out(base, ignores):
                    return False
                below = os.open(name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            ignores += self._own_ignores(folder, base)
            path = base + names[-1]
            if _is_folder(folder, names[-1]):
                return names[-1] != b".git" and not self._is_left_out(path + b"/", ignores)
            return names[-1] != b".git" and self.include.match(key_of(path)) and not self._is_left_out(path, ignores)
        except OSError:
            return True
        finally:
            os.close(folder)

    def _folder(self, folder: int, base: bytes, ignores: Ignores, only: Sequence[bytes]) -> Generator[Step, None, None]:
        try:
            names = [(only[0], _is_folder(folder, only[0]))] if only else _listed(folder)
        except OSError as error:
            yield from _unlisted(error, base)
            return
        ignores += self._own_ignores(folder, base)
        for name, is_folder in names:
            path = base + name
            if name == b".git" or self._is_left_out(path + b"/" if is_folder else path, ignores):
                continue
            if is_folder:
                yield from self._below(folder, name, path + b"/", ignores, only[1:])
            elif len(only) <= 1 and self.include.match(key_of(path)):
                yield from _file(folder, name, path)

    def _below(
        self, folder: int, name: bytes, base: bytes, ignores: Ignores, only: Sequence[bytes]
    ) -> Generator[Step, None, None]:
        if base.count(b"/") > MAX_DEPTH:
            yield Unreadable(base, f"nested deeper than {MAX_DEPTH} folders")
            return
        try:
            below = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            yield from _unlisted(error, base)
            return
        try:
            yield from self._folder(below, base, ignores, only)
        finally:
            os.close(below)

    def _is_left_out(self, path: bytes, ignores: Ignores) -> bool:
        if self.exclude.verdict(key_of(path)):
            return True
        for base, rules in reversed(ignores):
            verdict = rules.verdict(key_of(path[len(base) :]))
            if verdict is not None:
                return verdict
        return False

    def _own_ignores(self, folder: int, base: bytes) -> Ignores:
        if not self.gitignore:
            return ()
        try:
            file = os.open(b".gitignore", _FILE, dir_fd=folder)
        except OSError:
            return ()
        with os.fdopen(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return ()
            text = opened.read(MAX_IGNORE_FILE_BYTES).decode("utf-8-sig", "replace")
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        return ((base, WalkRules(lines)),)


def key_of(path: bytes) -> str:
    r"""Return a path as a key: UTF-8, with bytes that are not written as `\xe9`."""
    return path.decode("utf-8", "backslashreplace")


def names_of(key: str) -> list[bytes]:
    """Return the names a key is made of. Raises PermanentError for a key that no file below a folder can have."""
    names = key.encode("utf-8", "surrogateescape").removesuffix(b"/").split(b"/")
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise PermanentError(f"{key[:120]!r} is not a path below the folder")
    return names


def unescaped(names: Sequence[bytes]) -> list[bytes]:
    r"""Return names with every `\xe9` as the byte it may stand for, see `key_of`."""
    return [re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), name) for name in names]


@contextmanager
def opened_root(root: Path) -> Generator[int]:
    """Open the root folder. Raises NotFoundError or PermanentError where it is not to be had, and then nothing is known
    of what it holds; RetryableError where the file system fails.
    """
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"folder {root} does not exist (is it mounted?); nothing was removed") from error
    except NotADirectoryError as error:
        raise PermanentError(f"{root} is not a folder; nothing was removed") from error
    except PermissionError as error:
        raise PermanentError(f"folder {root} may not be read by this user; nothing was removed") from error
    except OSError as error:
        raise RetryableError(f"folder {root} cannot be opened: {error.strerror}") from error
    try:
        yield folder
    finally:
        os.close(folder)


def open_file(root: int, names: Sequence[bytes]) -> int:
    """Open a regular file below the open folder `root`. Raises OSError; ELOOP for a link, EISDIR for no regular file."""
    folder = os.dup(root)
    try:
        for name in names[:-1]:
            below = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        file = os.open(names[-1], _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EISDIR, "not a regular file")
    return file


def is_missing(root: int, names: Sequence[bytes]) -> bool:
    """Tell whether there is certainly no such regular file; one that may not be looked at is not missing."""
    try:
        os.close(open_file(root, names))
    except OSError as error:
        return error.errno in _VANISHED | {errno.EISDIR, errno.ENXIO}
    return False


def _listed(folder: int) -> list[tuple[bytes, bool]]:
    with os.scandir(folder) as entries:
        names = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    return sorted(names, key=lambda entry: entry[0] + b"/" if entry[1] else entry[0])


def _is_folder(folder: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _file(folder: int, name: bytes, path: bytes) -> Generator[Found, None, None]:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _VANISHED:
            raise RetryableError(f"{key_of(path)} cannot be examined: {error.strerror}") from error
        return
    if stat.S_ISREG(status.st_mode):
        yield Found(path, status)


def _unlisted(error: OSError, base: bytes) -> Generator[Unreadable, None, None]:
    if error.errno in _FORBIDDEN:
        yield Unreadable(base, "permission denied: this folder may not be read by this user")
    elif error.errno not in _VANISHED:
        raise RetryableError(f"folder {key_of(base) or '/'} cannot be listed: {error.strerror}") from error
