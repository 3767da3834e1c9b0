"""A strict Azure Blob service over HTTP, as Microsoft's REST reference describes it: no emulator of it comes from PyPI or Debian.

It verifies every signature (Shared Key; SAS tokens, whose own signature covers what they allow), wants a version in each request, lists by page
with markers, and sends bytes on condition of an ETag. Microsoft's own library and Azurite (which npm has) were used to check it.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape, quoteattr

import pytest
from aiohttp import web

from tests.azure_signatures import ACCOUNT, KEY, account_sas_refusal, failure, key_refusal, mac
from tests.serving import serve

__all__ = ["ACCOUNT", "KEY"]


@dataclass(frozen=True)
class StoredBlob:
    body: bytes
    etag: str
    content_type: str
    coding: str
    modified_at: datetime
    is_archived: bool = False
    is_directory: bool = False


@dataclass
class Azure:
    """One running server with one account. Its containers are as the tests put them."""

    url: str = ""
    containers: dict[str, dict[str, StoredBlob]] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    page_size: int = 5000
    holds_back: int = 0
    """So many empty pages, each with a marker, come before the first one that is not."""
    writes: int = 0

    @property
    def endpoint(self) -> str:
        return f"{self.url}/{ACCOUNT}"

    def put(
        self, container: str, key: str, body: bytes, content_type: str = "text/plain", coding: str = "", **more: bool
    ) -> None:
        self.writes += 1
        etag = f"0x8DD{self.writes:012X}"
        self.containers[container][key] = StoredBlob(body, etag, content_type, coding, datetime.now(UTC), **more)

    def sas(self, container: str, permissions: str = "rl", expires: str = "2199-01-01T00:00:00Z") -> str:
        """Return a token for a container."""
        said = {"sp": permissions, "se": expires, "sv": "2023-11-03", "sr": "c"}
        return "&".join(
            f"{name}={quote(value, safe='')}" for name, value in {**said, "sig": signed(container, said)}.items()
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        _, account, container, *rest = unquote(request.raw_path.partition("?")[0]).split("/", 3)
        assert account == ACCOUNT
        if refused := self._refusal(request, container, bool(rest)):
            return refused
        if container not in self.containers:
            return failure(404, "ContainerNotFound")
        if not rest:
            assert (request.query["restype"], request.query["comp"]) == ("container", "list")
            return self._list(request, self.containers[container])
        return self._send(request, self.containers[container].get(rest[0]))

    def _refusal(self, request: web.Request, container: str, is_blob: bool) -> web.Response | None:
        if "x-ms-version" not in request.headers:
            return failure(400, "MissingRequiredHeader")
        if "ss" in request.query:
            return account_sas_refusal(request, "b", "r" if is_blob else "l")
        if "sig" in request.query:
            said = {name: request.query[name] for name in ("sp", "se", "sv", "sr")}
            if not hmac.compare_digest(request.query["sig"], signed(container, said)):
                return failure(403, "AuthenticationFailed")
            if datetime.fromisoformat(said["se"]) < datetime.now(UTC):
                return failure(403, "AuthenticationFailed")
            needed = "r" if is_blob else "l"
            return None if needed in said["sp"] else failure(403, "AuthorizationPermissionMismatch")
        if authorization := request.headers.get("Authorization"):
            return key_refusal(request, authorization)
        if container in self.public:
            return None
        return (
            failure(409, "PublicAccessNotPermitted")
            if container in self.containers
            else failure(404, "ResourceNotFound")
        )

    def _list(self, request: web.Request, blobs: dict[str, StoredBlob]) -> web.Response:
        prefix = request.query.get("prefix", "")
        held, _, after = request.query.get("marker", f"{self.holds_back}!").partition("!")
        names = sorted(name for name in blobs if name.startswith(prefix) and name > after)
        size = min(self.page_size, int(request.query.get("maxresults", "5000")))
        page, more = names[:size], names[size:]
        marker = f"0!{page[-1]}" if more else ""
        if int(held) > 0:
            page, marker = [], f"{int(held) - 1}!{after}"
        listed = "".join(entry(name, blobs[name]) for name in page)
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint={quoteattr(self.endpoint)}>'
            f"<Blobs>{listed}</Blobs><NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
        )
        return web.Response(body="\ufeff".encode() + text.encode(), content_type="application/xml")

    def _send(self, request: web.Request, blob: StoredBlob | None) -> web.Response:
        if blob is None:
            return failure(404, "BlobNotFound")
        if request.headers["If-Match"] != f'"{blob.etag}"':
            return failure(412, "ConditionNotMet")
        if blob.is_archived:
            return failure(409, "BlobArchived")
        headers = {"ETag": f'"{blob.etag}"', "Content-Type": blob.content_type}
        if blob.coding:
            headers["Content-Encoding"] = blob.coding
        if "x-ms-range" not in request.headers:
            return web.Response(body=blob.body, headers=headers)
        first, _, last = request.headers["x-ms-range"].removeprefix("bytes=").partition("-")
        if int(first) >= len(blob.body):
            return failure(416, "InvalidRange")
        return web.Response(status=206, body=blob.body[int(first) : int(last) + 1], headers=headers)


def entry(name: str, blob: StoredBlob) -> str:
    encoded = any(ord(character) < 32 or character in "\ufffe\uffff" for character in name)
    named = f'<Name Encoded="true">{quote(name)}</Name>' if encoded else f"<Name>{escape(name)}</Name>"
    kind = "<ResourceType>directory</ResourceType>" if blob.is_directory else ""
    return (
        f"<Blob>{named}<Properties><Last-Modified>{format_datetime(blob.modified_at, usegmt=True)}</Last-Modified>"
        f"<Etag>{blob.etag}</Etag>{kind}<Content-Length>{len(blob.body)}</Content-Length>"
        f"<Content-Type>{escape(blob.content_type)}</Content-Type><Content-Encoding>{blob.coding}</Content-Encoding>"
        "<BlobType>BlockBlob</BlobType></Properties><OrMetadata /></Blob>"
    )


def signed(container: str, said: dict[str, str]) -> str:
    """Return a service SAS's signature of what is checked of one here."""
    return mac("\n".join([said["sp"], said["se"], f"/blob/{ACCOUNT}/{container}", said["sv"], said["sr"]]))


@pytest.fixture(scope="session")
def azure_server() -> Iterator[Azure]:
    running = Azure()
    with serve(running.handle) as running.url:
        yield running
