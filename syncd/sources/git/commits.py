"""What fetched commits hold, and what differs between two."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from anyio.abc import ByteReceiveStream

from syncd.errors import RetryableError
from syncd.sources.git.program import Git
from syncd.sources.git.tree_names import TreeNames, is_in_order

TREE = b"040000"
_NOT_THERE = b"BAD"
"""What `git ls-tree -l` says of the size of a file that it does not have."""
REMEMBERED_COMMITS = 32
"""Of so many commits it is remembered whether they can be compared."""
MAX_CHANGED_TREES = 1000
"""Of a commit with more of them all names are looked at, as they come: that many trees are held at once."""


@dataclass(frozen=True, slots=True)
class File:
    """One regular file of a commit; `path` as git has it, in bytes."""

    path: bytes
    oid: str
    size_bytes: int
    refusal: str = ""
    """Why it must not be indexed, or ''."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A path that was a regular file and no longer is."""

    path: bytes


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: bytes
    oid: bytes
    size: bytes
    path: bytes
    refusal: str


class Commits:
    """Reads commits of one local copy. Never waits for the network."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._comparable: dict[str, bool] = {}

    async def files(self, sha: str) -> AsyncGenerator[File, None]:
        """Yield the regular files of a commit in its trees' order; symbolic links and submodules are omitted."""
        async with aclosing(self._entries(sha, "-l")) as batches:
            async for batch in batches:
                for entry in batch:
                    if entry.mode.startswith(b"100"):
                        if entry.size == _NOT_THERE:
                            await self.check(sha)
                        yield File(entry.path, entry.oid.decode(), int(entry.size), entry.refusal)

    async def check(self, sha: str) -> None:
        """Look for all that a commit holds. Raises Damaged if anything is missing; the copy has been discarded then."""
        await self._git.call("rev-list", "--objects", "--quiet", "--end-of-options", sha)

    async def comparable(self, old: str, new: str) -> bool:
        """Return whether `differences` is right about two commits: git compares sorted trees of unique names.

        Looks at all names of the old one, unless that was done lately, and at those of the new one's trees that the old one has not.
        """
        return await self._judged(old, None) and await self._judged(new, old)

    async def _judged(self, sha: str, beside: str | None) -> bool:
        """Return whether a commit is well formed; `beside` is one that is."""
        found = self._comparable.pop(sha, None)
        if found is None:
            found = await (self._is_well_formed_beside(beside, sha) if beside else self._is_well_formed(sha))
        self._comparable[sha] = found
        while len(self._comparable) > REMEMBERED_COMMITS:
            del self._comparable[next(iter(self._comparable))]
        return found

    async def _is_well_formed_beside(self, old: str, new: str) -> bool:
        """Return whether a commit is well formed if another one is: git tells of every tree that is not the same in both."""
        trees, about = [(f"{new}^{{tree}}", b"")], b""
        arguments = ("diff-tree", "-r", "-t", "-z", "--raw", "--no-renames", "--end-of-options", old, new)
        async with aclosing(self._records(arguments)) as batches:
            async for batch in batches:
                for record in batch:
                    if about:
                        _, mode, _, oid, _ = about.split()
                        trees += [(oid.decode(), record)] if mode == TREE else []
                    about = b"" if about else record
                if len(trees) > MAX_CHANGED_TREES:
                    return await self._is_well_formed(new)
        asked = "".join(f"{oid}\n" for oid, _ in trees).encode()
        answer, at = await self._git.call("cat-file", "--batch", stdin=asked), 0
        for _, path in trees:
            end = answer.index(b"\n", at)
            oid, kind, *size_bytes = answer[at:end].split()
            if kind != b"tree":
                return False
            at = end + 1 + int(size_bytes[0]) + 1
            if not is_in_order(answer[end + 1 : at - 1], path, len(oid) // 2):
                return False
        return True

    async def _is_well_formed(self, sha: str) -> bool:
        last = b""
        async with aclosing(self._entries(sha)) as batches:
            async for batch in batches:
                for entry in batch:
                    is_tree = entry.mode == TREE
                    if entry.refusal or (not is_tree and entry.path <= last):
                        return False
                    last = last if is_tree else entry.path
        return True

    async def _entries(self, sha: str, *options: str) -> AsyncGenerator[list[_Entry], None]:
        """Yield all that is in a commit's trees, the trees too, in batches."""
        names = TreeNames()
        arguments = ("ls-tree", "-r", "-t", "-z", *options, "--full-tree", "--end-of-options", sha)
        async with aclosing(self._records(arguments)) as batches:
            async for batch in batches:
                yield [_entry(record, names) for record in batch]

    async def differences(self, old: str, new: str) -> AsyncGenerator[File | Gone, None]:
        """Yield what turns the files of one commit into those of the other, in path order; a rename is Gone and File."""
        changes = self._changes(("diff-tree", "-r", "-z", "--raw", "--no-renames", "--end-of-options", old, new))
        async with aclosing(_windows(changes, 500)) as windows:
            async for window in windows:
                sizes = await self._sizes([change.oid for change in window if isinstance(change, File)], new)
                for change in window:
                    yield replace(change, size_bytes=sizes[change.oid]) if isinstance(change, File) else change

    async def _changes(self, arguments: Sequence[str]) -> AsyncGenerator[File | Gone, None]:
        about = b""
        async with aclosing(self._records(arguments)) as batches:
            async for batch in batches:
                for record in batch:
                    if not about:
                        about = record
                        continue
                    old_mode, new_mode, _, oid, _ = about.removeprefix(b":").split()
                    about = b""
                    if new_mode.startswith(b"100"):
                        yield File(record, oid.decode(), 0)
                    elif old_mode.startswith(b"100"):
                        yield Gone(record)

    async def _sizes(self, oids: Sequence[str], sha: str) -> dict[str, int]:
        asked = "".join(f"{oid}\n" for oid in oids).encode()
        answer = await self._git.call("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked)
        pairs = [line.split() for line in answer.decode().splitlines()]
        if any(pair[1] == "missing" for pair in pairs):
            await self.check(sha)
            raise RetryableError(
                f"a file of {self._git.remote.name} is not in the local copy; it will be fetched again"
            )
        return {oid: int(size) for oid, size in pairs}

    async def _records(self, arguments: Sequence[str]) -> AsyncGenerator[list[bytes], None]:
        """Yield what a local command prints, cut at NULs, in batches as it comes."""
        async with self._git.started(arguments, subprocess.DEVNULL, subprocess.PIPE) as process:
            assert process.stdout is not None
            async for records in _cut(process.stdout):
                yield records


def _entry(record: bytes, names: TreeNames) -> _Entry:
    about, _, given = record.partition(b"\t")
    mode, _, oid, *size = about.split()
    path, refusal = names.read(given, is_tree=mode == TREE)
    return _Entry(mode, oid, size[0] if size else b"", path, refusal)


async def _cut(stream: ByteReceiveStream) -> AsyncGenerator[list[bytes], None]:
    left = b""
    async for piece in stream:
        *records, left = (left + piece).split(b"\0")
        yield records


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
