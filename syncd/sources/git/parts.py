"""Fetches a repository's first commit in parts, so that a line that breaks costs one of them and not everything.

The commit and its trees come first, then its files by number, a batch a request, as git itself fetches what a partial clone lacks
(git's "Partial Clone Design Notes"). When all are here nothing is left of the partial clone: no file is ever fetched on demand. A
server that knows no filters sends everything at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syncd.sources.git.program import Git, Reach

FETCH_OPTIONS = (
    "--progress",  # Not quiet: the server's progress shows that it is alive.
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--refmap=",
)
FILES_PER_FETCH = 10_000
"""What a line that breaks costs at most."""
_FILTERED = ("--filter=blob:none",)


class PartialFetch:
    """Of one local copy. Its caller holds the copy's write lock."""

    def __init__(self, git: Git, files_per_fetch: int = FILES_PER_FETCH) -> None:
        self._git = git
        self._files_per_fetch = files_per_fetch

    async def fetch(self, sha: str, reach: Reach) -> None:
        """Bring a commit with all its files, and name it `refs/syncd/<sha>`. Another call goes on where one was cut off, also at another commit.

        Raises what `Git.call` does; PermanentError may mean that the server gives no files by number.
        """
        url = self._git.remote.url
        wanted = f"{sha}:refs/partial/{sha}"
        await self._git.call(
            "fetch", *FETCH_OPTIONS, "--depth=1", *_FILTERED, "--end-of-options", url, wanted, reach=reach
        )
        missing = await self._missing(sha)
        for start in range(0, len(missing), self._files_per_fetch):
            asked = "\n".join(missing[start : start + self._files_per_fetch]).encode()
            arguments = ("fetch", *FETCH_OPTIONS, *_FILTERED, "--stdin", "--end-of-options", url)
            await self._git.call(*arguments, stdin=asked, reach=replace(reach, tells_haves=False))
        await self._make_whole(reach)
        await self._forget(reach, f"update refs/syncd/{sha} {sha}\n")

    async def discard(self, reach: Reach) -> None:
        """Drop all that came in parts, so that it does not count as known: nothing else may be here. Twice is safe."""
        await self._forget(reach)
        await self._make_whole(reach)
        for left in (*self._git.folder.glob("objects/pack/*"), self._git.folder / "shallow"):
            left.unlink(missing_ok=True)

    async def _forget(self, reach: Reach, naming: str = "") -> None:
        """Drop the names of commits that are here in part, and with that name the one that is whole."""
        names = (await self._git.call("for-each-ref", "--format=%(refname)", "refs/partial/")).decode().split()
        wanted = naming + "".join(f"delete {name}\n" for name in names)
        await self._git.call("update-ref", "--stdin", stdin=wanted.encode(), reach=replace(reach, network=False))

    async def _missing(self, sha: str) -> Sequence[str]:
        arguments = ("rev-list", "--objects", "--missing=print", "--no-object-names", "--end-of-options", sha)
        found = (await self._git.call(*arguments)).decode().split()
        return [oid.removeprefix("?") for oid in found if oid.startswith("?")]

    async def _make_whole(self, reach: Reach) -> None:
        """Make an ordinary copy of the partial clone, which would ask the server for whatever is damaged. Twice is safe."""
        own = replace(reach, network=False)
        kept = (await self._git.call("config", "--list", "--name-only", "--local")).decode().splitlines()
        if any(name.startswith("remote.") for name in kept):
            section = f"remote.{self._git.remote.url}"
            await self._git.call("config", "--remove-section", "--end-of-options", section, reach=own)
        if "extensions.partialclone" in kept:
            await self._git.call("config", "--unset-all", "extensions.partialClone", reach=own)
        for mark in self._git.folder.glob("objects/pack/*.promisor"):
            mark.unlink()
