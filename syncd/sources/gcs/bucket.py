"""Reads one bucket of Google Cloud Storage through its JSON API; an `objects.listing.ObjectStore`.

A version is an object's generation, which every write changes. Bytes are asked for on condition that it is still the current one, and as they
are stored: with `Accept-Encoding: gzip` the service does not decompress them on its own ("Transcoding of gzip-compressed files").
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel
from yarl import URL

from syncd.errors import NotFoundError
from syncd.model import Metadata
from syncd.runtime.headers import plausible_date, storable
from syncd.sources.objects.http import Asking, HttpConnection, HttpPart, address_of
from syncd.sources.objects.listing import ObjectPage, StoredObject
from syncd.sources.objects.transport import ChangedError

GCS_URL = "https://storage.googleapis.com"
FIELDS = "kind,nextPageToken,items(name,generation,size,timeCreated,contentType)"


class GcsItem(BaseModel):
    """An object's resource, as far as it is read."""

    name: str
    generation: str
    size: int = 0
    timeCreated: str = ""  # noqa: N815 - the service's name
    """When this generation was written."""
    contentType: str = ""  # noqa: N815 - the service's name

    def stored(self) -> StoredObject:
        """Return the object's state."""
        return StoredObject(
            key=self.name,
            version=self.generation,
            size_bytes=self.size,
            modified_at=moment_of(self.timeCreated),
            media_type=storable(self.contentType) or None,
        )


class GcsListing(BaseModel):
    """A page of a listing."""

    kind: Literal["storage#objects"]
    """Without it, any JSON object would be an empty listing, and everything gone."""
    items: tuple[GcsItem, ...] = ()
    nextPageToken: str = ""  # noqa: N815 - the service's name


@dataclass(frozen=True, slots=True)
class GcsBucket:
    """One bucket. Every call waits for the network, is safe to repeat and raises RetryableError or PermanentError."""

    name: str
    endpoint: str
    connection: HttpConnection

    def address(self, key: str = "") -> str:
        """Return `gs://bucket/key`."""
        return f"gs://{self.name}/{key}"

    def metadata(self, key: str) -> Metadata:
        """Return what each chunk of the object says of it."""
        return {"bucket": self.name, "object_key": key}

    async def page(self, prefix: str, token: str, size: int) -> ObjectPage:
        """Return a page of the objects below `prefix`, in the order of their names."""
        wanted = {"prefix": prefix, "pageToken": token, "maxResults": str(size), "fields": FIELDS}
        asking = Asking(self._url("", {name: said for name, said in wanted.items() if said}))
        return await self.connection.call(asking, self.address(prefix), read_gcs_listing)

    def fetchable(self, found: StoredObject) -> GcsObject:
        """Return the object's bytes in this state; never waits."""
        return GcsObject(self, found)

    def _url(self, path: str, query: Mapping[str, str]) -> URL:
        return address_of(f"{self.endpoint}/storage/v1/b/{quote(self.name, safe='')}/o{path}", query)

    def media_url(self, found: StoredObject) -> URL:
        """Return where the object's bytes are, as long as it is in this state."""
        return self._url(f"/{quote(found.key, safe='')}", {"alt": "media", "ifGenerationMatch": found.version})


@dataclass(frozen=True, slots=True)
class GcsObject:
    """One object in a given state; an `objects.download.Fetchable`."""

    bucket: GcsBucket
    state: StoredObject

    @property
    def address(self) -> str:
        """Return `gs://bucket/key`."""
        return self.bucket.address(self.state.key)

    @property
    def size_bytes(self) -> int:
        """Return its size as stored."""
        return self.state.size_bytes

    @property
    def channel(self) -> HttpConnection:
        """Return the bucket's connection."""
        return self.bucket.connection

    @asynccontextmanager
    async def part(self, start: int, end: int) -> AsyncGenerator[HttpPart]:
        """Ask for its bytes from `start` up to `end`. Raises ChangedError if it was replaced or removed, RetryableError, PermanentError."""
        whole = start == 0 and end == self.size_bytes
        ranged = {} if whole else {"Range": f"bytes={start}-{end - 1}"}
        asking = Asking(self.bucket.media_url(self.state), {"Accept-Encoding": "gzip", **ranged})
        try:
            async with self.channel.answer(asking, self.address) as response:
                generation = response.headers.get("x-goog-generation", self.state.version)
                if generation != self.state.version:
                    raise ChangedError(f"{self.address} was changed while it was being read")
                yield HttpPart(response, self.address)
        except NotFoundError as error:
            raise ChangedError(f"{self.address} was removed before it could be read") from error


def read_gcs_listing(body: bytes) -> ObjectPage:
    """Return a page. Raises ValueError."""
    page = GcsListing.model_validate_json(body)
    return ObjectPage([item.stored() for item in page.items], page.nextPageToken)


def moment_of(text: str) -> datetime | None:
    """Return a time of RFC 3339, or None where it is none that can be meant."""
    try:
        return plausible_date(datetime.fromisoformat(text))
    except ValueError:
        return None
