r"""A Git repository as a source: the files of one commit, and the difference from the commit before.

Keys are paths, versions are blob ids. A collection's cursor names the commit it holds; a run to another commit yields
the difference, or everything if there is no usable cursor. A renamed file is a delete and an add; the vectors of its
chunks come from the vector cache. In keys, bytes of a path that are not UTF-8 are written as `\xe9` in the key.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from syncd.errors import ConfigError, NotFoundError, RetryableError, Skipped
from syncd.model import Body, Changes, Checkpoint, Document, Run, Total, chunk_prefix
from syncd.sources.bodies import DEFAULT_MAX_TEXT_BYTES, NoBody, StreamBody, is_image, too_large
from syncd.sources.git.blobs import Blobs
from syncd.sources.git.commits import File, Gone
from syncd.sources.git.cursor import CommitCursor
from syncd.sources.git.errors import Unauthorized
from syncd.sources.git.lfs import GitLfs
from syncd.sources.git.patience import Patience
from syncd.sources.git.pointers import POINTER_BYTES, USUAL_POINTER_BYTES, ObjectCheck, Pointer, PointerCheck
from syncd.sources.git.refs import Ref
from syncd.sources.git.remote import Login, Logins, Remote
from syncd.sources.git.repository import Repository
from syncd.sources.globs import EVERYTHING, Globs
from syncd.sources.path_keys import key_of
from syncd.sources.web.addresses import AddressGuard

READING = 2
"""Raised when documents of unchanged commits get other versions, so that these are listed again."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """What is read of a repository."""

    remote: Remote
    include_globs: tuple[str, ...] = EVERYTHING
    max_file_size_bytes: int = DEFAULT_MAX_TEXT_BYTES
    patience: Patience | None = None
    lfs_guard: AddressGuard | None = None
    """With it, what Git LFS pointers stand for is fetched: from the repository's own server and the addresses that it lets through."""


class RepositorySource:
    """One repository. There must be one object per folder in a process; its runs may overlap."""

    def __init__(
        self,
        settings: RepositorySettings,
        folder: Path,
        logins: Logins | None = None,
        spool_folder: Path | None = None,
    ) -> None:
        """`folder` is this source's bare repository, made when missing. Raises ConfigError for impossible settings."""
        remote = settings.remote
        if logins and not remote.may_carry_secret:
            raise ConfigError(f"{remote.url!r} would send a token unencrypted; use https")
        self.repository = remote.name
        self._settings = settings
        self._globs = Globs(settings.include_globs, "include_globs")
        self._copy = Repository(folder, remote, settings.patience)
        self._lfs = GitLfs(remote, settings.lfs_guard) if settings.lfs_guard else None
        self._logins = logins
        self._spool_folder = spool_folder

    async def head(self, ref: Ref) -> str:
        """Return the commit that `ref` points to on the server now. Raises NotFoundError, RetryableError, PermanentError."""
        return await self._authorized(partial(self._copy.head, ref))

    async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint | Total]:
        """Yield the difference between the collection's commit and the asked one (the request's `ref`).

        With `run.keys`, yields those paths as they are in the collection's own commit and leaves the cursor alone.
        """
        cursor = CommitCursor.read(run.cursor)
        if cursor and (cursor.settings != self._fingerprint() or not self._copy.has(cursor.sha)):
            cursor = None
        wanted = Ref(sha=cursor.sha) if cursor and run.keys is not None else _asked(run)
        sha = await self._fetched(wanted)
        if cursor and not await self._leads_to(cursor, sha):
            cursor = None
        async with Blobs(self._copy, sha) as blobs, aclosing(self._steps(run, cursor, sha, blobs)) as steps:
            async for step in steps:
                yield step

    def _steps(self, run: Run, cursor: CommitCursor | None, sha: str, blobs: Blobs) -> Changes:
        if run.keys is not None:
            return self._chosen(run, run.keys, sha, blobs)
        if cursor:
            return self._difference(cursor, sha, blobs)
        return self._everything(run, sha, blobs)

    async def _leads_to(self, cursor: CommitCursor, sha: str) -> bool:
        """Return whether a difference turns what the collection holds into the commit."""
        return cursor.toward in (None, sha) and (
            cursor.sha == sha or await self._copy.commits.comparable(cursor.sha, sha)
        )

    async def _everything(self, run: Run, sha: str, blobs: Blobs) -> Changes:
        if run.cursor:
            # Until this run has ended the collection is between two commits, so a difference from either would be incomplete.
            yield Checkpoint("")
        yield Total(await self._count(self._copy.commits.files(sha)))
        async with aclosing(self._copy.commits.files(sha)) as files:
            async for file in files:
                if self._globs.match(key_of(file.path)):
                    yield await self._document(file, blobs)
        yield Checkpoint(str(CommitCursor(sha, self._fingerprint())), absent_are_gone=True)

    async def _difference(self, cursor: CommitCursor, sha: str, blobs: Blobs) -> Changes:
        if cursor.sha != sha:
            if cursor.toward != sha:
                # A crash after this leaves files of both commits; only the same difference, or a full listing, corrects that.
                yield Checkpoint(str(replace(cursor, toward=sha)))
            yield Total(await self._count(self._copy.commits.differences(cursor.sha, sha)))
            async with aclosing(self._copy.commits.differences(cursor.sha, sha)) as changes:
                async for change in changes:
                    if self._globs.match(key_of(change.path)):
                        yield (
                            self._gone(key_of(change.path))
                            if isinstance(change, Gone)
                            else await self._document(change, blobs)
                        )
        yield Checkpoint(str(CommitCursor(sha, self._fingerprint())))

    async def _count(self, found: AsyncGenerator[File | Gone]) -> int:
        async with aclosing(found):
            return sum([1 async for each in found if self._globs.match(key_of(each.path))])

    async def _chosen(self, run: Run, keys: frozenset[str], sha: str, blobs: Blobs) -> Changes:
        missing = set(keys)
        async with aclosing(self._copy.commits.files(sha)) as files:
            async for file in files:
                key = key_of(file.path)
                if key in missing and self._globs.match(key):
                    missing.remove(key)
                    yield await self._document(file, blobs)
        for key in sorted(missing):
            yield self._gone(key)
        yield Checkpoint(run.cursor or "")

    async def _document(self, file: File, blobs: Blobs) -> Document:
        key, limit = key_of(file.path), self._settings.max_file_size_bytes
        version, size_bytes, body = file.oid, file.size_bytes, self._text(file, blobs)
        if file.refusal:
            return self._skipped(file, f"{file.oid} refused", file.refusal)
        if is_image(key):
            return self._skipped(file, version, "image: only text is indexed from repositories")
        if pointer := await self._pointer(file, blobs):
            version, size_bytes = f"sha256:{pointer.oid}", pointer.size_bytes
            body = StreamBody(partial(self._object, pointer), partial(ObjectCheck, pointer), self._spool_folder)
        if size_bytes > limit:
            # The limit is part of the version, so that raising it causes the file to be read again.
            return self._skipped(file, f"{version}>{limit}", too_large(size_bytes, limit))
        if not pointer and size_bytes in USUAL_POINTER_BYTES:
            # Pointers were indexed as text under versions without the mark.
            version += "+"
        return Document(key, version, body, self._prefix(key), metadata=self._metadata(key, file.oid))

    def _skipped(self, file: File, version: str, reason: str) -> Document:
        key = key_of(file.path)
        return Document(
            key, version, NoBody(Skipped(reason)), self._prefix(key), metadata=self._metadata(key, file.oid)
        )

    def _text(self, file: File, blobs: Blobs) -> Body:
        check = partial(PointerCheck, self._settings.max_file_size_bytes)
        return StreamBody(partial(blobs.read, file.oid), check, self._spool_folder)

    async def _pointer(self, file: File, blobs: Blobs) -> Pointer | None:
        """Return the pointer that a file is, if what it stands for is wanted. Raises RetryableError if it cannot be read."""
        if not self._lfs or file.size_bytes not in POINTER_BYTES:
            return None
        async with aclosing(blobs.read(file.oid)) as pieces:
            return Pointer.read(b"".join([piece async for piece in pieces]))

    async def _object(self, pointer: Pointer) -> AsyncGenerator[bytes, None]:
        """Yield what a pointer stands for. Raises what `GitLfs` raises."""
        assert self._lfs is not None
        download = await self._authorized(partial(self._lfs.locate, pointer))
        async with aclosing(self._lfs.read(download)) as pieces:
            async for piece in pieces:
                yield piece

    def _metadata(self, key: str, oid: str) -> dict[str, str]:
        """Return only what changes with the file itself: a commit id here would rewrite every chunk at every commit."""
        return {"repository": self.repository, "path": key, "blob_sha": oid}

    def _gone(self, key: str) -> Document:
        return Document(key, "", None, self._prefix(key))

    def _prefix(self, key: str) -> str:
        """Return the prefix of a file's chunk ids: of the full name, so that repositories can share a collection."""
        return chunk_prefix(f"{self.repository}/{key}")

    def _fingerprint(self) -> str:
        """Return what a difference depends on besides the two commits."""
        own = self._settings
        settings = (
            READING,
            self.repository,
            own.include_globs,
            own.max_file_size_bytes,
            *(["lfs"] if self._lfs else []),
        )
        return sha256(json.dumps(settings).encode()).hexdigest()[:16]

    async def _fetched(self, ref: Ref) -> str:
        sha = await self.head(ref)
        if not self._copy.has(sha):
            try:
                await self._authorized(partial(self._copy.fetch, sha))
            except NotFoundError as error:
                if ref.sha:
                    raise
                raise RetryableError(f"{self.repository} names commit {sha} and does not have it yet") from error
        return sha

    async def _authorized(self, work: Callable[[Login | None], Awaitable[R]]) -> R:
        """Do `work` with a login if there are credentials; once more with another one if the first was revoked."""
        if not self._logins:
            return await work(None)
        try:
            return await work(await self._logins.login())
        except Unauthorized:
            if not self._logins.forget():
                raise
            return await work(await self._logins.login())


def _asked(run: Run) -> Ref:
    ref = run.invocation.request.whole.ref
    return Ref.read(asdict(ref) if ref else None)
