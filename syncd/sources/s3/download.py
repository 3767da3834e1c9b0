"""Reads an object of a bucket in the state in which it was checked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from syncd.sources.objects.transport import ChangedError
from syncd.sources.s3.answers import AnswerBody, ObjectAnswer
from syncd.sources.s3.bucket import Bucket, ObjectState
from syncd.sources.s3.calls import S3Client
from syncd.sources.s3.client import Connection
from syncd.sources.s3.errors import AWS_ERRORS, ClientError, is_missing_key


@dataclass(frozen=True, slots=True)
class BucketPart:
    """Some bytes of an object as they arrive; an `objects.download.ObjectPart`."""

    body: AnswerBody
    client: S3Client
    connection: Connection[S3Client]
    address: str
    is_whole: bool
    coding: str | None

    async def read(self, size_bytes: int, /) -> bytes:
        """Return up to so many bytes, none at the end. Raises RetryableError, also where nothing arrives for too long."""
        try:
            with anyio.fail_after(self.connection.transport.stall_timeout_s):
                return await self.body.read(size_bytes)
        except AWS_ERRORS as error:
            raise self.connection.blame(error, self.address, self.client) from error


@dataclass(frozen=True, slots=True)
class BucketObject:
    """One object in a given state; an `objects.download.Fetchable`."""

    bucket: Bucket
    state: ObjectState

    @property
    def address(self) -> str:
        """Return `s3://bucket/key`."""
        return self.bucket.address(self.state.key)

    @property
    def size_bytes(self) -> int:
        """Return its size as stored."""
        return self.state.size_bytes

    @property
    def channel(self) -> Connection[S3Client]:
        """Return the bucket's connection."""
        return self.bucket.connection

    @asynccontextmanager
    async def part(self, start: int, end: int) -> AsyncGenerator[BucketPart]:
        """Ask for its bytes from `start` up to `end`. Raises ChangedError if it was replaced or removed, RetryableError, PermanentError."""
        client = await self.channel.ready(self.address)
        try:
            with anyio.fail_after(self.channel.transport.stall_timeout_s):
                answer = await self._request(client, start, end)
        except AWS_ERRORS as error:
            raise self.channel.blame(error, self.address, client) from error
        # The server may have ignored If-Match.
        if answer.get("ETag", self.state.etag) != self.state.etag:
            raise ChangedError(f"{self.address} was changed while it was being read")
        is_whole = answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        async with answer["Body"] as body:
            yield BucketPart(body, client, self.channel, self.address, is_whole, answer.get("ContentEncoding"))

    async def _request(self, client: S3Client, start: int, end: int) -> ObjectAnswer:
        whole = start == 0 and end == self.state.size_bytes
        ranged = {} if whole else {"Range": f"bytes={start}-{end - 1}"}
        try:
            return await client.get_object(
                Bucket=self.bucket.name, Key=self.state.key, IfMatch=self.state.etag, **ranged
            )
        except ClientError as error:
            if is_missing_key(error):
                raise ChangedError(f"{self.address} was removed before it could be read") from error
            raise
