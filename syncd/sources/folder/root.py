"""Opens the root folder of a source: down its real path, never through a symbolic link, never into the daemon's state.

Checking a path once is not enough: anyone who can write to its parent can replace the folder with a link. So each
opening descends from `/` with `openat`, one name at a time and without following links, and everything below is read
through the resulting descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from syncd.errors import NotFoundError, PermanentError, RetryableError

Identity = tuple[int, int]
"""Device and inode, which identify a folder under any name, bind mounts included."""

ANYWHERE = (Path("/"),)
CLOSED = "the daemon's own state, with its tokens and keys, is never read"

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Error numbers of an opening whose file no longer exists or was replaced by a link."""

# Passing through a folder needs less permission than reading it.
_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ClosedError(PermanentError):
    """The folder is the state folder, or is inside it."""


@dataclass(frozen=True, slots=True)
class OpenRoot:
    """A root folder while it is open."""

    descriptor: int
    identity: Identity
    closed: frozenset[Identity] = frozenset()
    """Folders and files below it that are not entered or read."""
    state: Path | None = None

    def fingerprint(self) -> str:
        """Return what tells it from another folder under its name: see `fingerprint_of`."""
        return fingerprint_of(self.descriptor)

    def leads_into_state(self, names: Sequence[bytes]) -> bool:
        """Return whether this path, with links followed, is the state folder or inside it."""
        path = os.fsdecode(os.path.realpath(os.path.join(b"/proc/self/fd/%d" % self.descriptor, *names)))
        return self.state is not None and Path(path).is_relative_to(os.path.realpath(self.state))


@dataclass(frozen=True, slots=True)
class Root:
    """Where the root folder is, and what is checked at every opening."""

    path: Path
    """Its real path, as it was when the source was made or its declaration read."""
    declared: Path | None = None
    """The path in the configuration, if that leads to `path` through a link."""
    allowed: Sequence[Path] = ANYWHERE
    """Real paths of the folders of which one must contain it."""
    state: Path | None = None
    """The daemon's state folder."""

    @contextmanager
    def opened(self) -> Generator[OpenRoot]:
        """Open it.

        Raises NotFoundError or PermanentError if it is unavailable, in which case nothing is known about its content;
        RetryableError if the file system fails.
        """
        self._check_place()
        closed = _closed(self.state)
        folder = self._reached(closed)
        try:
            yield OpenRoot(folder, identity_of(os.fstat(folder)), closed, self.state)
        finally:
            os.close(folder)

    def check(self) -> None:
        """Raise ClosedError if it is the state folder or inside it; other problems are left to the run."""
        try:
            with self.opened():
                pass
        except ClosedError:
            raise
        except (PermanentError, RetryableError):
            return

    def _check_place(self) -> None:
        path = self.path
        if not path.is_absolute() or ".." in path.parts:
            raise PermanentError(f"folder {path} must be an absolute path without '..'")
        if not any(path.is_relative_to(root) for root in self.allowed):
            raise PermanentError(
                f"folder {path} is not below a folder that the configuration allows any more; nothing was removed: "
                "name one above it under folder.allowed_roots, or remove the source"
            )
        if self.declared is not None and (now := os.path.realpath(self.declared)) != str(path):
            raise PermanentError(
                f"folder {self.declared} led to {path} when the configuration was read and leads to {now} now; nothing "
                "was removed: reload the configuration (SIGHUP) where that is meant"
            )

    def _reached(self, closed: frozenset[Identity]) -> int:
        folder, at = os.open("/", _PASS), Path("/")
        try:
            for name in self.path.parts[1:]:
                at /= name
                folder = entered(folder, name, _PASS)
                if identity_of(os.fstat(folder)) in closed:
                    raise ClosedError(f"folder {self.path}: {CLOSED}; name a folder outside {self.state}")
            return os.open(".", OPEN_FOLDER, dir_fd=folder)
        except OSError as error:
            raise self._translated(error, at, folder) from error
        finally:
            os.close(folder)

    def _translated(self, error: OSError, at: Path, above: int) -> PermanentError | RetryableError:
        if error.errno == errno.ENOENT:
            return NotFoundError(f"folder {self.path} does not exist (is it mounted?); nothing was removed")
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            if _is_link(at.name, above):
                return PermanentError(
                    f"folder {self.path}: {at} was replaced by a symbolic link, which is not followed; nothing was "
                    "removed: where it is meant, name the folder it leads to in a new source, or reload the configuration"
                )
            return PermanentError(f"{at} is not a folder; nothing was removed")
        if error.errno in (errno.EACCES, errno.EPERM):
            return PermanentError(f"folder {self.path} may not be read by this user; nothing was removed")
        return RetryableError(f"folder {self.path} cannot be opened: {error.strerror}")


def fingerprint_of(folder: int) -> str:
    """Return what tells an open folder from another one in its place, also after a restart: device, inode, and the file system's id.

    Disks that are mounted one after the other may share the first two. Raises OSError.
    """
    device, inode = identity_of(os.fstat(folder))
    return f"{device}:{inode}:{os.fstatvfs(folder).f_fsid}"


def is_same(old: str, new: str) -> bool:
    """Tell whether two fingerprints may be one folder's; those of earlier versions lack the file system's id."""
    return all(before == now for before, now in zip(old.split(":"), new.split(":"), strict=False))


def identity_of(status: os.stat_result) -> Identity:
    """Return what tells a file or folder from all others."""
    return status.st_dev, status.st_ino


def open_file(root: OpenRoot, names: Sequence[bytes]) -> int:
    """Open a regular file below `root`. Raises OSError; ELOOP for a link and what is closed, EISDIR for no regular file."""
    folder = os.dup(root.descriptor)
    try:
        for name in names[:-1]:
            folder = entered(folder, name)
            _check_open(folder, root)
        file = os.open(names[-1], FILE, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _check_open(file, root)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EISDIR, "not a regular file")
    except OSError:
        os.close(file)
        raise
    return file


def is_missing(root: OpenRoot, names: Sequence[bytes]) -> bool:
    """Tell whether there is certainly no such regular file; one that may not be looked at is not missing."""
    try:
        os.close(open_file(root, names))
    except OSError as error:
        return error.errno in VANISHED | {errno.EISDIR, errno.ENXIO}
    return False


def entered(folder: int, name: bytes | str, flags: int = OPEN_FOLDER) -> int:
    """Return a folder in the open `folder`, open in its place. Raises OSError, and then `folder` stays open."""
    below = os.open(name, flags, dir_fd=folder)
    os.close(folder)
    return below


def _closed(state: Path | None) -> frozenset[Identity]:
    """Return the state folder and what lies directly in it: that may be mounted, or linked, elsewhere."""
    if state is None:
        return frozenset()
    found = set[Identity]()
    try:
        found.add(identity_of(os.stat(state)))
        with os.scandir(state) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.add(identity_of(entry.stat(follow_symlinks=False)))
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise RetryableError(f"state folder {state} cannot be looked at: {error.strerror}") from error
    return frozenset(found)


def _is_link(name: str, above: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _check_open(descriptor: int, root: OpenRoot) -> None:
    if identity_of(os.fstat(descriptor)) in root.closed:
        raise OSError(errno.ELOOP, CLOSED)
