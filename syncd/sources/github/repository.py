"""The bare, shallow copy of one repository: what a ref points at, what a commit holds, what differs between two.

Commits are fetched one by one at depth 1 and kept under `refs/syncd/<sha>`, so that the server sends only what the last
fetched ones lack. Nothing is checked out, and no object is fetched on demand.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import ByteReceiveStream

from syncd.errors import NotFoundError, RetryableError
from syncd.sources.github.errors import Damaged
from syncd.sources.github.git import LOCAL, Git, Reach, Remote
from syncd.sources.github.naming import check_branch, check_sha

MAX_PACKS = 50
"""Every fetch adds a pack, and each one slows every read; beyond this many they become one again (git's own gc.autoPackLimit)."""
KEPT_COMMITS = 16
"""How many fetched commits are kept, the most recently used ones: so many collections of one source can be at different
commits and still be updated by a difference."""

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Ref:
    """What to sync: a branch's latest commit, one commit, or (neither) the default branch's latest commit."""

    branch: str | None = None
    sha: str | None = None

    @classmethod
    def read(cls, value: Mapping[str, object] | None) -> Ref:
        """Read `{"branch": …}`, `{"sha": …}` or None. Raises PermanentError for invalid values."""
        if not value:
            return cls()
        branch, sha = value.get("branch"), value.get("sha")
        if sha is not None:
            return cls(sha=check_sha(str(sha)))
        return cls(branch=check_branch(str(branch or "")).removeprefix("refs/heads/"))


@dataclass(frozen=True, slots=True)
class File:
    """One regular file of a commit; `path` as git has it, in bytes."""

    path: bytes
    oid: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A path that was a regular file and no longer is."""

    path: bytes


class Repository:
    """One per folder and process: writers wait for each other here, and a lock file keeps other processes out."""

    def __init__(
        self, folder: Path, remote: Remote, max_packs: int = MAX_PACKS, kept_commits: int = KEPT_COMMITS
    ) -> None:
        self.git = Git(folder, remote)
        self._folder = folder
        self._max_packs = max_packs
        self._kept_commits = kept_commits
        self._one_writer = anyio.Lock()
        self._one_maker = anyio.Lock()

    async def head(self, ref: Ref, token: str | None) -> str:
        """Ask the server which commit `ref` is, without fetching it. Raises NotFoundError for an unknown branch."""
        if ref.sha:
            return ref.sha
        await self._prepare()
        name = f"refs/heads/{ref.branch}" if ref.branch else "HEAD"
        arguments = ("ls-remote", "--quiet", "--end-of-options", self.git.remote.url, name)
        for line in (await self._call(*arguments, reach=Reach(network=True, token=token))).decode().splitlines():
            sha, _, found = line.partition("\t")
            if found == name and _SHA.fullmatch(sha):
                return sha
        repository = self.git.remote.repository
        if ref.branch:
            raise NotFoundError(f"{repository} has no branch {ref.branch!r}: check the name")
        raise NotFoundError(f"{repository} has no commits yet: push some, then sync again")

    def has(self, sha: str) -> bool:
        """Return whether the commit was fetched, and mark it as used. Never waits for the network."""
        kept = self._folder / "refs" / "syncd" / sha
        if not _SHA.fullmatch(sha) or not kept.exists():
            return False
        os.utime(kept)
        return True

    async def fetch(self, sha: str, token: str | None) -> None:
        """Fetch the commit with all its files, unless it is here already. Twice is safe.

        Raises NotFoundError for an unknown commit, RetryableError otherwise (after discarding a damaged copy).
        """
        async with self._writing() as lock:
            if self.has(sha):
                return
            wanted = f"{sha}:refs/syncd/{sha}"
            options = ("--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
            arguments = ("fetch", *options, "--refmap=", "--end-of-options", self.git.remote.url, wanted)
            await self._call(*arguments, reach=Reach(network=True, token=token, keep_open=(lock,)))
            await self._check_commit(sha)
            if len(list(self._folder.glob("objects/pack/*.pack"))) > self._max_packs:
                await self._repack(lock)

    def files(self, sha: str) -> AsyncGenerator[File, None]:
        """Yield the regular files of a commit in path order; symbolic links and submodules are omitted."""
        return self._files(("ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", sha))

    async def _files(self, arguments: Sequence[str]) -> AsyncGenerator[File, None]:
        async with aclosing(self._records(arguments)) as records:
            async for record in records:
                about, _, path = record.partition(b"\t")
                mode, _, oid, size = about.split()
                if mode.startswith(b"100"):
                    yield File(path, oid.decode(), int(size))

    async def differences(self, old: str, new: str) -> AsyncGenerator[File | Gone, None]:
        """Yield what turns the files of one commit into those of the other, in path order; a rename is Gone and File."""
        changes = self._changes(("diff-tree", "-r", "-z", "--raw", "--no-renames", "--end-of-options", old, new))
        async with aclosing(_windows(changes, 500)) as windows:
            async for window in windows:
                sizes = await self._sizes([change.oid for change in window if isinstance(change, File)])
                for change in window:
                    yield replace(change, size_bytes=sizes[change.oid]) if isinstance(change, File) else change

    async def _changes(self, arguments: Sequence[str]) -> AsyncGenerator[File | Gone, None]:
        about = b""
        async with aclosing(self._records(arguments)) as records:
            async for record in records:
                if not about:
                    about = record
                    continue
                old_mode, new_mode, _, oid, _ = about.removeprefix(b":").split()
                about = b""
                if new_mode.startswith(b"100"):
                    yield File(record, oid.decode(), 0)
                elif old_mode.startswith(b"100"):
                    yield Gone(record)

    async def _sizes(self, oids: Sequence[str]) -> dict[str, int]:
        asked = "".join(f"{oid}\n" for oid in oids).encode()
        answer = await self._call("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked)
        pairs = [line.split() for line in answer.decode().splitlines()]
        if any(pair[1] == "missing" for pair in pairs):
            raise RetryableError(
                f"a file of {self.git.remote.repository} is not in the local copy; it will be fetched again"
            )
        return {oid: int(size) for oid, size in pairs}

    async def _records(self, arguments: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Yield what a local command prints, cut at NULs, as it comes."""
        with self._discarded_if_damaged():
            async with self.git.started(arguments, subprocess.DEVNULL, subprocess.PIPE) as process:
                assert process.stdout is not None
                async for record in _cut(process.stdout):
                    yield record

    async def _check_commit(self, sha: str) -> None:
        kind = (await self._call("cat-file", "-t", "--end-of-options", sha)).strip()
        if kind != b"commit":
            await self._call("update-ref", "-d", "--end-of-options", f"refs/syncd/{sha}")
            raise NotFoundError(f"{sha} of {self.git.remote.repository} is a {kind.decode()}, not a commit")

    async def _repack(self, lock: int) -> None:
        """Repack the most recently used commits and drop the rest. Readers of dropped commits fetch them again."""
        kept = sorted((self._folder / "refs" / "syncd").iterdir(), key=os.path.getmtime, reverse=True)
        deletions = "".join(f"delete refs/syncd/{ref.name}\n" for ref in islice(kept, self._kept_commits, None))
        await self._call("update-ref", "--stdin", stdin=deletions.encode(), reach=Reach(keep_open=(lock,)))
        await self._call("repack", "-a", "-d", "-q", reach=Reach(keep_open=(lock,)))
        await self._call("prune", "--expire=now", reach=Reach(keep_open=(lock,)))

    async def _prepare(self) -> None:
        async with self._one_maker:
            if not (self._folder / "HEAD").exists():
                await to_thread.run_sync(lambda: self._folder.mkdir(mode=0o700, parents=True, exist_ok=True))
                await self._call("init", "--bare", "--quiet", "--template=")

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[int]:
        """Hold the write lock of this copy, and remove what a killed git left behind.

        Every git started inside inherits the lock's descriptor, so one that outlives a killed daemon still holds it.
        """
        async with self._one_writer:
            await self._prepare()
            lock = os.open(self._folder / "syncd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    message = f"another git is still working on the copy of {self.git.remote.repository}"
                    raise RetryableError(message, retry_after_s=5) from error
                for left_over in (*self._folder.rglob("*.lock"), *self._folder.glob("objects/pack/tmp_*")):
                    if left_over.name != "syncd.lock":
                        left_over.unlink(missing_ok=True)
                yield lock
            finally:
                os.close(lock)

    async def _call(self, *arguments: str, stdin: bytes = b"", reach: Reach = LOCAL) -> bytes:
        with self._discarded_if_damaged():
            return await self.git.call(*arguments, stdin=stdin, reach=reach)

    @contextmanager
    def _discarded_if_damaged(self) -> Generator[None]:
        try:
            yield
        except Damaged:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise


async def _cut(stream: ByteReceiveStream) -> AsyncGenerator[bytes, None]:
    left = b""
    async for piece in stream:
        *records, left = (left + piece).split(b"\0")
        for record in records:
            yield record


async def _windows(changes: AsyncGenerator[File | Gone, None], size: int) -> AsyncGenerator[list[File | Gone], None]:
    window: list[File | Gone] = []
    async with aclosing(changes):
        async for change in changes:
            window.append(change)
            if len(window) == size:
                yield window
                window = []
    if window:
        yield window
