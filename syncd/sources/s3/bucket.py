"""Reads one bucket: the state of a key, listings, and small objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.headers import storable
from syncd.sources.objects.coding import decoded
from syncd.sources.objects.keys import EMPTY_PAGES
from syncd.sources.objects.transport import ChangedError
from syncd.sources.s3.answers import ListedObject, ObjectFacts
from syncd.sources.s3.calls import S3Client
from syncd.sources.s3.client import Connection
from syncd.sources.s3.errors import ClientError, is_missing_key, status_code

LISTING_PAGE_SIZE = 1000
"""S3's maximum."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """The state of one object as returned by a HEAD, GET or listing."""

    key: str
    etag: str
    """With its quotes, as If-Match wants it."""
    size_bytes: int
    modified_at: datetime | None
    media_type: str | None = None

    @property
    def version(self) -> str:
        """Return a version that changes with the content; without version ids, which listings do not return."""
        return f"{self.etag.strip(chr(34))}:{self.size_bytes}"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing, in the order of the keys' UTF-8 bytes. The next page starts after `last_key`."""

    objects: Sequence[ObjectState]
    last_key: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """Reads one bucket. Every call waits for the network, is safe to repeat and raises RetryableError or PermanentError."""

    name: str
    connection: Connection[S3Client]

    def address(self, key: str = "") -> str:
        """Return an object's address for messages: `s3://bucket/key`."""
        return f"s3://{self.name}/{key}"

    async def head(self, key: str) -> ObjectState | None:
        """Return the current state of `key`, or None if there is no such object (or only a delete marker)."""

        async def ask(client: S3Client) -> ObjectState | None:
            try:
                return object_state(key, await client.head_object(Bucket=self.name, Key=key))
            except ClientError as error:
                if is_missing_key(error) or status_code(error) == 403:
                    return await self._head_missing(client, key, error)
                if status_code(error) == 400:
                    # A HEAD response has no body to give the reason (expired credentials, say); a GET response has.
                    async with (await client.get_object(Bucket=self.name, Key=key, Range="bytes=0-0"))["Body"]:
                        raise RetryableError(f"{self.address(key)} was refused once and then allowed") from error
                raise

        return await self.connection.call(ask, self.address(key))

    async def _head_missing(self, client: S3Client, key: str, error: ClientError) -> None:
        """Make sure by a listing that there is no such object, because a wrong answer would be a wrong delete.

        A HEAD response has no body, so a missing bucket looks like a missing object. And without the permission to list
        the whole bucket a missing object looks like a forbidden one (Amazon S3 API Reference, HeadObject).
        """
        answer = await client.list_objects_v2(Bucket=self.name, Prefix=key, MaxKeys=1)
        if any(item["Key"] == key for item in answer.get("Contents", ())):
            if status_code(error) == 403:
                raise PermanentError(
                    f"{self.address(key)}: access denied to this object; see its policy and its encryption"
                )
            raise ChangedError(f"{self.address(key)} appeared while it was being checked")

    async def page(self, prefix: str, after: str, size: int = LISTING_PAGE_SIZE) -> Page:
        """Return the objects below `prefix` whose keys come after `after`, up to `size` of them.

        Pages without any are stepped over by their continuation tokens; RetryableError where that leads nowhere.
        """

        async def ask(client: S3Client) -> Page:
            start = {"StartAfter": after}
            for _ in range(EMPTY_PAGES):
                answer = await client.list_objects_v2(Bucket=self.name, Prefix=prefix, MaxKeys=size, **start)
                objects = [listed_object(item) for item in answer.get("Contents", ())]
                page = Page(objects, objects[-1].key if objects else after, not answer.get("IsTruncated"))
                if page.is_last or page.last_key.encode() > after.encode():
                    return page
                token = answer.get("NextContinuationToken", "")
                if objects or not token or token == start.get("ContinuationToken"):
                    break
                start = {"ContinuationToken": token}
            raise RetryableError(f"{self.address(prefix)}: the listing claims to continue but returns no more keys")

        return await self.connection.call(ask, self.address(prefix))

    async def small(self, key: str, max_size_bytes: int) -> tuple[ObjectState, bytes] | None:
        """Return an object with its first `max_size_bytes` + 1 bytes at most, or None when there is no such object.

        Decoded where its Content-Encoding says so: PermanentError if it cannot be, or is larger than that then.
        """

        async def ask(client: S3Client) -> tuple[ObjectState, bytes] | None:
            try:
                answer = await client.get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if not is_missing_key(error):
                    raise
                return None
            state = object_state(key, answer)
            async with answer["Body"] as body:
                content = bytearray()
                while len(content) <= max_size_bytes and (piece := await body.read(max_size_bytes + 1 - len(content))):
                    content += piece
            if len(content) < min(state.size_bytes, max_size_bytes + 1):
                raise ConnectionResetError(f"{len(content)} of {state.size_bytes} bytes arrived")
            coding = answer.get("ContentEncoding")
            return state, decoded(bytes(content), coding, self.address(key), max_size_bytes + 1)

        return await self.connection.call(ask, self.address(key))


def object_state(key: str, answer: ObjectFacts) -> ObjectState:
    """Return the object's state from a HEAD or unranged GET response."""
    return ObjectState(
        key=key,
        etag=storable(answer["ETag"]),
        size_bytes=answer["ContentLength"],
        modified_at=answer.get("LastModified"),
        media_type=storable(answer.get("ContentType") or "") or None,
    )


def listed_object(item: ListedObject) -> ObjectState:
    """Return the object's state from an entry of a listing."""
    return ObjectState(item["Key"], item["ETag"], item["Size"], item.get("LastModified"))
