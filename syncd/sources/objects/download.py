"""Bodies of objects: streamed to a spooled file, resumed after a lost connection, never a mix of old and new bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import anyio

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.retry import Backoff
from syncd.sources.bodies import StreamBody
from syncd.sources.objects.coding import PIECE_SIZE_BYTES, Decoder
from syncd.sources.objects.transport import ChangedError, Transport


class ObjectPart(Protocol):
    """Some of an object's bytes, as they arrive."""

    @property
    def is_whole(self) -> bool:
        """Whether the answer begins with the object's first byte, whatever was asked for."""
        ...

    @property
    def coding(self) -> str | None:
        """The object's Content-Encoding."""
        ...

    async def read(self, size_bytes: int, /) -> bytes:
        """Return up to so many bytes, none at the end. Raises RetryableError."""
        ...


class DownloadChannel(Protocol):
    """What downloads from one place share."""

    @property
    def transport(self) -> Transport:
        """Its limits."""
        ...

    @property
    def downloads(self) -> anyio.Semaphore:
        """How many there may be at once."""
        ...

    @property
    def backoff(self) -> Backoff:
        """How long to wait after a failure."""
        ...


class Fetchable(Protocol):
    """One object in the state in which it was listed or checked."""

    @property
    def address(self) -> str:
        """Its address, for messages."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its size as stored."""
        ...

    @property
    def channel(self) -> DownloadChannel:
        """Through which it is read."""
        ...

    def part(self, start: int, end: int) -> AbstractAsyncContextManager[ObjectPart]:
        """Ask for its bytes from `start` up to `end`. Raises ChangedError if it was replaced or removed, RetryableError, PermanentError."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectBody:
    """The bytes of one object in a given state; a `syncd.model.Body`."""

    stored: Fetchable

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Download everything, then yield it as a seekable file: in memory up to 1 MiB, on disk above.

        Waits for a place among the endpoint's downloads and for the network. Twice is safe and downloads twice. Raises
        PermanentError if the object is above the size limit (nothing is downloaded) or its Content-Encoding cannot be
        undone, ChangedError (a RetryableError) if it was replaced or removed since: then only `Document.again` helps.
        """
        transport = self.stored.channel.transport
        limit_bytes = transport.max_object_size_bytes
        if self.stored.size_bytes > limit_bytes:
            raise PermanentError(f"too large: {self.stored.size_bytes:,} bytes, the limit is {limit_bytes:,}; split it")
        return StreamBody(self._pieces, folder=transport.spool_dir).open()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        transport = self.stored.channel.transport
        async with self.stored.channel.downloads, aclosing(Download(self.stored).decoded()) as pieces:
            deadline = anyio.current_time() + transport.download_timeout_s
            async for piece in pieces:
                yield piece
                if anyio.current_time() > deadline:
                    raise RetryableError(
                        f"{self.stored.address}: not downloaded within {transport.download_timeout_s:.0f} s"
                    )


class Download:
    """One download in progress."""

    def __init__(self, stored: Fetchable) -> None:
        self._stored = stored
        self._channel = stored.channel
        self._transport = stored.channel.transport
        self._coding: str | None = None
        self._received_bytes = 0
        self._failures = 0

    async def decoded(self) -> AsyncGenerator[bytes, None]:
        """Yield the object's bytes as they were before any Content-Encoding. Raises as `pieces` does."""
        decoder: Decoder | None = None
        async with aclosing(self.pieces()) as pieces:
            async for encoded in pieces:
                decoder = decoder or Decoder(self._coding, self._stored.address, self._transport.max_object_size_bytes)
                for piece in decoder.feed(encoded):
                    yield piece
        for piece in decoder.finish() if decoder else ():
            yield piece

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the object's bytes in order. Raises RetryableError, PermanentError."""
        while True:
            received_bytes = self._received_bytes
            try:
                async with aclosing(self._range()) as pieces:
                    async for piece in pieces:
                        yield piece
            except ChangedError:
                raise
            except RetryableError as error:
                await self._pause(error, progressed=self._received_bytes > received_bytes)
            if self._received_bytes == self._stored.size_bytes:
                return

    async def _pause(self, error: RetryableError, *, progressed: bool) -> None:
        """Wait before the next attempt, longer after each attempt without progress."""
        self._failures = 1 if progressed else self._failures + 1
        if self._failures >= self._transport.attempts:
            raise error
        await anyio.sleep(max(self._channel.backoff.delay_s(self._failures), error.retry_after_s or 0.0))

    async def _range(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the next range, up to its end or until the connection breaks."""
        stored = self._stored
        end = min(self._received_bytes + self._transport.range_size_bytes, stored.size_bytes)
        async with stored.part(self._received_bytes, end) as part:
            self._coding = part.coding
            skip_bytes = self._received_bytes if part.is_whole else 0
            while piece := await part.read(PIECE_SIZE_BYTES):
                fresh, skip_bytes = piece[skip_bytes:], max(0, skip_bytes - len(piece))
                self._received_bytes += len(fresh)
                if self._received_bytes > stored.size_bytes:
                    raise ChangedError(f"{stored.address} is longer than when it was checked")
                if fresh:
                    yield fresh
        if self._received_bytes < end:
            raise RetryableError(f"{stored.address}: the body ended after {self._received_bytes} of {end} bytes")
