"""Reads one container of Azure Blob Storage through its REST API; an `objects.listing.ObjectStore`.

A version is a blob's ETag, which every write changes; bytes are asked for on condition that it is still the current one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from yarl import URL

from syncd.errors import NotFoundError
from syncd.model import Metadata
from syncd.runtime.headers import http_date, storable
from syncd.sources.objects.http import Asking, HttpConnection, HttpPart, address_of
from syncd.sources.objects.listing import ObjectPage, StoredObject
from syncd.sources.objects.transport import ChangedError


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Every call waits for the network, is safe to repeat and raises RetryableError or PermanentError."""

    account: str
    name: str
    endpoint: str
    connection: HttpConnection

    def address(self, key: str = "") -> str:
        """Return `azure://account/container/key`."""
        return f"azure://{self.account}/{self.name}/{key}"

    def metadata(self, key: str) -> Metadata:
        """Return what each chunk of the blob says of it."""
        return {"account": self.account, "container": self.name, "object_key": key}

    async def page(self, prefix: str, token: str, size: int) -> ObjectPage:
        """Return a page of the blobs below `prefix`, in the order of their names; it may be empty and not the last."""
        wanted = {"restype": "container", "comp": "list", "maxresults": str(size), "prefix": prefix, "marker": token}
        query = {name: said for name, said in wanted.items() if said}
        asking = Asking(address_of(f"{self.endpoint}/{quote(self.name)}", query))
        return await self.connection.call(asking, self.address(prefix), read_blob_listing)

    def fetchable(self, found: StoredObject) -> Blob:
        """Return the blob's bytes in this state; never waits."""
        return Blob(self, found)


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob in a given state; an `objects.download.Fetchable`."""

    container: Container
    state: StoredObject

    @property
    def address(self) -> str:
        """Return `azure://account/container/key`."""
        return self.container.address(self.state.key)

    @property
    def size_bytes(self) -> int:
        """Return its size as stored."""
        return self.state.size_bytes

    @property
    def channel(self) -> HttpConnection:
        """Return the container's connection."""
        return self.container.connection

    @property
    def url(self) -> URL:
        """Return where its bytes are."""
        place = f"{self.container.endpoint}/{quote(self.container.name)}/{quote(self.state.key)}"
        return URL(place, encoded=True)

    @asynccontextmanager
    async def part(self, start: int, end: int) -> AsyncGenerator[HttpPart]:
        """Ask for its bytes from `start` up to `end`. Raises ChangedError if it was replaced or removed, RetryableError, PermanentError."""
        whole = start == 0 and end == self.size_bytes
        ranged = {} if whole else {"x-ms-range": f"bytes={start}-{end - 1}"}
        asking = Asking(self.url, {"If-Match": f'"{self.state.version}"', **ranged})
        try:
            async with self.channel.answer(asking, self.address) as response:
                if response.headers.get("ETag", self.state.version).strip('"') != self.state.version:
                    raise ChangedError(f"{self.address} was changed while it was being read")
                yield HttpPart(response, self.address)
        except NotFoundError as error:
            raise ChangedError(f"{self.address} was removed before it could be read") from error


def read_blob_listing(body: bytes) -> ObjectPage:
    """Return a page of "List Blobs". Raises ValueError."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - expat bounds entity expansion and fetches nothing
    except ElementTree.ParseError as error:
        raise ValueError("no XML") from error
    blobs = root.find("Blobs")
    if root.tag != "EnumerationResults" or blobs is None:
        # Taken for a listing it would be an empty one, and everything gone.
        raise ValueError("no listing")
    return ObjectPage([stored_blob(blob) for blob in blobs.iterfind("Blob")], root.findtext("NextMarker") or "")


def stored_blob(blob: ElementTree.Element) -> StoredObject:
    """Return the state of a listed blob. Names that XML cannot hold are percent-encoded. Raises ValueError."""
    named = blob.find("Name")
    key = (named.text if named is not None else None) or ""
    if not key:
        raise ValueError("a blob without a name")
    if named is not None and named.get("Encoded") == "true":
        key = unquote(key)
    return StoredObject(
        key=key,
        version=storable(blob.findtext("Properties/Etag") or "").strip('"'),
        size_bytes=int(blob.findtext("Properties/Content-Length") or 0),
        modified_at=http_date(blob.findtext("Properties/Last-Modified")),
        media_type=storable(blob.findtext("Properties/Content-Type") or "") or None,
        is_folder=blob.findtext("Properties/ResourceType") == "directory",
    )
