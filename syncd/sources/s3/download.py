"""Bodies of objects: streamed to a spooled file, resumed after a lost connection, never a mix of old and new bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import BinaryIO

import anyio

from syncd.errors import PermanentError, RetryableError
from syncd.sources.bodies import StreamBody
from syncd.sources.s3.answers import ObjectAnswer
from syncd.sources.s3.bucket import Bucket, ObjectState
from syncd.sources.s3.calls import S3Client
from syncd.sources.s3.coding import PIECE_SIZE_BYTES, Decoder
from syncd.sources.s3.errors import AWS_ERRORS, ChangedError, ClientError, is_missing_key


@dataclass(frozen=True, slots=True)
class ObjectBody:
    """The bytes of one object in a given state; a `syncd.model.Body`."""

    bucket: Bucket
    state: ObjectState

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Download everything, then yield it as a seekable file: in memory up to 1 MiB, on disk above.

        Waits for a place among the endpoint's downloads and for the network. Twice is safe and downloads twice. Raises
        PermanentError if the object is above the size limit (nothing is downloaded) or its Content-Encoding cannot be
        undone, ChangedError (a RetryableError) if it was replaced or removed since: then only `Document.again` helps.
        """
        limit_bytes = self.bucket.connection.transport.max_object_size_bytes
        if self.state.size_bytes > limit_bytes:
            raise PermanentError(f"too large: {self.state.size_bytes:,} bytes, the limit is {limit_bytes:,}; split it")
        return StreamBody(self._pieces, folder=self.bucket.connection.transport.spool_dir).open()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        transport = self.bucket.connection.transport
        download = Download(self.bucket, self.state)
        async with self.bucket.connection.downloads, aclosing(download.decoded()) as pieces:
            deadline = anyio.current_time() + transport.download_timeout_s
            async for piece in pieces:
                yield piece
                if anyio.current_time() > deadline:
                    raise RetryableError(
                        f"{self.bucket.address(self.state.key)}: not downloaded within {transport.download_timeout_s:.0f} s"
                    )


class Download:
    """One download in progress."""

    def __init__(self, bucket: Bucket, state: ObjectState) -> None:
        self._bucket = bucket
        self._connection = bucket.connection
        self._transport = bucket.connection.transport
        self._state = state
        self._address = bucket.address(state.key)
        self._coding: str | None = None
        self._received_bytes = 0
        self._failures = 0

    async def decoded(self) -> AsyncGenerator[bytes, None]:
        """Yield the object's bytes as they were before any Content-Encoding. Raises as `pieces` does."""
        decoder: Decoder | None = None
        async with aclosing(self.pieces()) as pieces:
            async for encoded in pieces:
                decoder = decoder or Decoder(self._coding, self._address, self._transport.max_object_size_bytes)
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
            if self._received_bytes == self._state.size_bytes:
                return

    async def _pause(self, error: RetryableError, *, progressed: bool) -> None:
        """Wait before the next attempt, longer after each attempt without progress."""
        self._failures = 1 if progressed else self._failures + 1
        if self._failures >= self._transport.attempts:
            raise error
        await anyio.sleep(max(self._connection.backoff.delay_s(self._failures), error.retry_after_s or 0.0))

    async def _range(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the next range, up to its end or until the connection breaks."""
        client = await self._connection.ready(self._address)
        end = min(self._received_bytes + self._transport.range_size_bytes, self._state.size_bytes)
        try:
            with anyio.fail_after(self._transport.stall_timeout_s):
                answer = await self._request(client, end)
        except AWS_ERRORS as error:
            raise self._connection.blame(error, self._address, client) from error
        self._check(answer)
        self._coding = answer.get("ContentEncoding")
        async with answer["Body"] as body:
            skip_bytes = self._received_bytes if answer["ResponseMetadata"]["HTTPStatusCode"] == 200 else 0
            while True:
                try:
                    with anyio.fail_after(self._transport.stall_timeout_s):
                        piece = await body.read(PIECE_SIZE_BYTES)
                except AWS_ERRORS as error:
                    raise self._connection.blame(error, self._address, client) from error
                if not piece:
                    break
                fresh, skip_bytes = piece[skip_bytes:], max(0, skip_bytes - len(piece))
                self._received_bytes += len(fresh)
                if self._received_bytes > self._state.size_bytes:
                    raise ChangedError(f"{self._address} is longer than when it was checked")
                if fresh:
                    yield fresh
        if self._received_bytes < end:
            raise RetryableError(f"{self._address}: the body ended after {self._received_bytes} of {end} bytes")

    async def _request(self, client: S3Client, end: int) -> ObjectAnswer:
        start = self._received_bytes
        whole = start == 0 and end == self._state.size_bytes
        ranged = {} if whole else {"Range": f"bytes={start}-{end - 1}"}
        try:
            return await client.get_object(
                Bucket=self._bucket.name, Key=self._state.key, IfMatch=self._state.etag, **ranged
            )
        except ClientError as error:
            if is_missing_key(error):
                raise ChangedError(f"{self._address} was removed before it could be read") from error
            raise

    def _check(self, answer: ObjectAnswer) -> None:
        """Raise ChangedError for an object other than the one expected, if the server ignored If-Match."""
        if answer.get("ETag", self._state.etag) != self._state.etag:
            raise ChangedError(f"{self._address} was changed while it was being read")
