"""The bare, shallow copy of one repository: what a ref points at, and the commits that were fetched.

Commits are fetched one by one at depth 1 and kept under `refs/syncd/<sha>`, so that the server sends only what the last
fetched ones lack. The first one, of which nothing is here, comes in parts. Nothing is checked out, and no object is fetched on demand.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import anyio
from anyio import to_thread

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.sources.git.commits import Commits
from syncd.sources.git.errors import Unauthorized
from syncd.sources.git.parts import FETCH_OPTIONS, PartialFetch
from syncd.sources.git.patience import Patience
from syncd.sources.git.program import Git, Reach
from syncd.sources.git.refs import FULL_SHA, Ref, missing
from syncd.sources.git.remote import Login, Remote

MAX_PACKS = 50
"""Every fetch adds a pack, and each one slows every read; beyond this many they become one again (git's own gc.autoPackLimit)."""
KEPT_COMMITS = 16
"""How many fetched commits are kept, the most recently used ones: so many collections of one source can be at different
commits and still be updated by a difference."""


class Repository:
    """One per folder and process: writers wait for each other here, and a lock file keeps other processes out."""

    def __init__(
        self,
        folder: Path,
        remote: Remote,
        patience: Patience | None = None,
        max_packs: int = MAX_PACKS,
        kept_commits: int = KEPT_COMMITS,
    ) -> None:
        self.git = Git(folder, remote, patience)
        self.commits = Commits(self.git)
        self._folder = folder
        self._max_packs = max_packs
        self._kept_commits = kept_commits
        self._parts = PartialFetch(self.git)
        self._takes_parts = True
        self._one_writer = anyio.Lock()
        self._one_maker = anyio.Lock()

    async def head(self, ref: Ref, login: Login | None) -> str:
        """Ask the server which commit `ref` is, without fetching it. Raises NotFoundError for an unknown one."""
        if ref.full_sha:
            return ref.full_sha
        await self._prepare()
        told = self._fetched() if ref.sha else {}
        found = ref.commit_in(told, name := self.git.remote.name) or ref.commit_in(
            told := await self._told(ref.names, login), name
        )
        if not found:
            raise missing(ref, told if ref.branch or ref.sha else await self._told((), login), name)
        return found

    def _fetched(self) -> dict[str, str]:
        return {str(kept): kept.name for kept in self._folder.glob("refs/syncd/*")}

    async def _told(self, names: Sequence[str], login: Login | None) -> dict[str, str]:
        """Return what these refs of the server's point at, or all of its refs."""
        arguments = ("ls-remote", "--quiet", "--end-of-options", self.git.remote.url, *names)
        lines = (await self.git.call(*arguments, reach=Reach(network=True, login=login))).decode("utf-8", "replace")
        pairs = (line.partition("\t") for line in lines.splitlines())
        return {name: sha for sha, _, name in pairs if FULL_SHA.fullmatch(sha)}

    def has(self, sha: str) -> bool:
        """Return whether the commit was fetched, and mark it as used. Never waits for the network."""
        kept = self._folder / "refs" / "syncd" / sha
        if not FULL_SHA.fullmatch(sha) or not kept.exists():
            return False
        os.utime(kept)
        return True

    async def check(self, sha: str) -> None:
        """Look for all that a fetched commit holds. Raises Damaged if anything is missing; the copy has been discarded then."""
        if self.has(sha):
            await self.commits.check(sha)

    async def fetch(self, sha: str, login: Login | None) -> None:
        """Fetch the commit with all its files, unless it is here already. Twice is safe.

        Raises NotFoundError for an unknown commit, RetryableError otherwise (after discarding a damaged copy).
        """
        async with self._writing() as lock:
            if self.has(sha):
                return
            reach = Reach(network=True, login=login, keep_open=(lock,))
            if self._takes_parts and not self._fetched():
                await self._fetch_first(sha, reach)
            else:
                await self._fetch_at_once(sha, reach)
            await self._check_commit(sha)
            if len(list(self._folder.glob("objects/pack/*.pack"))) > self._max_packs:
                await self._repack(lock)

    async def _fetch_first(self, sha: str, reach: Reach) -> None:
        """Fetch the commit in parts or, where the server does not give it so, at once."""
        try:
            await self._parts.fetch(sha, reach)
        except Unauthorized:
            raise
        except PermanentError:
            await self._parts.discard(reach)
            # Of a commit that cannot be had either way this raises the same.
            await self._fetch_at_once(sha, reach)
            self._takes_parts = False

    async def _fetch_at_once(self, sha: str, reach: Reach) -> None:
        wanted = f"{sha}:refs/syncd/{sha}"
        await self.git.call(
            "fetch", *FETCH_OPTIONS, "--depth=1", "--end-of-options", self.git.remote.url, wanted, reach=reach
        )

    async def _check_commit(self, sha: str) -> None:
        kind = (await self.git.call("cat-file", "-t", "--end-of-options", sha)).strip()
        if kind != b"commit":
            await self.git.call("update-ref", "-d", "--end-of-options", f"refs/syncd/{sha}")
            raise NotFoundError(f"{sha} of {self.git.remote.name} is a {kind.decode()}, not a commit")

    async def _repack(self, lock: int) -> None:
        """Repack the most recently used commits and drop the rest. Readers of dropped commits fetch them again."""
        kept = sorted((self._folder / "refs" / "syncd").iterdir(), key=os.path.getmtime, reverse=True)
        deletions = "".join(f"delete refs/syncd/{ref.name}\n" for ref in islice(kept, self._kept_commits, None))
        await self.git.call("update-ref", "--stdin", stdin=deletions.encode(), reach=Reach(keep_open=(lock,)))
        await self.git.call("repack", "-a", "-d", "-q", reach=Reach(keep_open=(lock,)))
        await self.git.call("prune", "--expire=now", reach=Reach(keep_open=(lock,)))

    async def _prepare(self) -> None:
        async with self._one_maker:
            if not (self._folder / "HEAD").exists():
                await to_thread.run_sync(lambda: self._folder.mkdir(mode=0o700, parents=True, exist_ok=True))
                self._remove_left_over()  # by an init that was cut off, as any other would refuse to begin
                await self.git.call("init", "--bare", "--quiet", "--template=")

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
                    message = f"another git is still working on the copy of {self.git.remote.name}"
                    raise RetryableError(message, retry_after_s=5) from error
                self._remove_left_over()
                yield lock
            finally:
                os.close(lock)

    def _remove_left_over(self) -> None:
        for left_over in (*self._folder.rglob("*.lock"), *self._folder.glob("objects/pack/tmp_*")):
            if left_over.name != "syncd.lock":
                left_over.unlink(missing_ok=True)
