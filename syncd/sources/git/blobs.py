"""Reads file contents through one long-lived `git cat-file --batch`, one file at a time."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from syncd.errors import RetryableError
from syncd.sources.bodies import BODY_PIECE_SIZE_BYTES
from syncd.sources.git.program import end
from syncd.sources.git.repository import Repository

_BROKEN = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Blobs:
    """Files of one commit. Starts git at the first read and ends it when the last user leaves; a user is whoever is in `async with`.

    A run is a user for its whole length, so all its bodies share one process; a body opened later is a user itself.
    """

    def __init__(self, copy: Repository, sha: str) -> None:
        self._copy, self._sha = copy, sha
        self._turn = anyio.Lock()
        self._users = 0
        self._process: Process | None = None
        self._answers: BufferedByteReceiveStream | None = None

    async def __aenter__(self) -> Self:
        self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            await self._stop()

    async def read(self, oid: str) -> AsyncGenerator[bytes, None]:
        """Yield a blob's bytes in pieces; waits for its turn. Raises RetryableError if it cannot be read, Damaged if it never could."""
        async with self, self._turn:
            whole = False
            try:
                ask, answer = await self._started()
                await ask.send(f"{oid}\n".encode())
                left = await self._size(await answer.receive_until(b"\n", 256), oid)
                while left:
                    piece = await answer.receive(min(left, BODY_PIECE_SIZE_BYTES))
                    left -= len(piece)
                    yield piece
                await answer.receive_exactly(1)
                whole = True
            except _BROKEN as error:
                # Git says nothing more of what it cannot read when it reads many.
                await self._copy.git.call("cat-file", "blob", oid)
                raise RetryableError(f"git exited while reading {oid}; it will be restarted") from error
            finally:
                if not whole:
                    await self._stop()

    async def _started(self) -> tuple[ByteSendStream, BufferedByteReceiveStream]:
        if self._process is None or self._process.returncode is not None:
            pipe = subprocess.PIPE
            self._process = await self._copy.git.spawn(("cat-file", "--batch"), pipe, pipe, subprocess.DEVNULL)
            assert self._process.stdout is not None
            self._answers = BufferedByteReceiveStream(self._process.stdout)
        assert self._process.stdin is not None
        assert self._answers is not None
        return self._process.stdin, self._answers

    async def _stop(self) -> None:
        """End the process, because the rest of its output would be taken for the next response."""
        process, self._process, self._answers = self._process, None, None
        if process is not None:
            await end(process)

    async def _size(self, header: bytes, oid: str) -> int:
        """Read `<oid> blob <size>`. Raises RetryableError for any other answer."""
        parts = header.split()
        if len(parts) == 3 and parts[1] == b"blob":
            return int(parts[2])
        await self._copy.check(self._sha)
        raise RetryableError(f"file {oid} is not in the local copy of the repository; it will be fetched again")
