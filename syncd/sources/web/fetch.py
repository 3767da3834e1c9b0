"""One GET over the guarded connector: capped in bytes, time, headers and redirects, without cookies or credentials.

Redirects are reported, not followed, so that scope and robots.txt are checked for every hop.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from syncd.runtime.headers import retry_after_s
from syncd.sources.web.addresses import AddressGuard
from syncd.sources.web.content_coding import undone
from syncd.sources.web.fetch_errors import FetchError, certificate_trouble, one_line, refusal_in, too_large_error
from syncd.sources.web.headers import readable
from syncd.sources.web.media import SNIFF_BYTES, Claim, UnwantedTypeError, claim_of
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.urls import Url

CHUNK_BYTES = 64 << 10
DAY_S = 86_400.0
HEADER_BYTES = 64 << 10
"""Of one header: long Content-Security-Policies and Links have more than the 8 KB of most clients."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ACCEPT = "text/html,application/xhtml+xml,text/markdown,text/plain;q=0.8,application/pdf;q=0.8,*/*;q=0.5"


class SizeRule(Protocol):
    """Decides by its type how much of a body is read."""

    def __call__(self, claim: Claim, start: bytes | None, /) -> int:
        """Return how many bytes may be read; asked again with how the body begins. Raises UnwantedTypeError if it is not wanted."""
        ...


SizeLimit = int | SizeRule


@dataclass(frozen=True, slots=True)
class Response:
    """A response. `body` is decompressed; it is empty for redirects, errors and unwanted types."""

    url: Url
    status: int
    headers: CIMultiDict[str] = field(repr=False)
    """Without lone surrogates."""
    body: bytes = field(repr=False, default=b"")
    unread: str = ""
    """Why the body was not read, if it was not."""
    elapsed_s: float = 0.0
    """Seconds until the headers arrived."""

    @property
    def claim(self) -> Claim:
        """Return what the response says that it is."""
        return claim_of(self.headers, self.url)

    @property
    def retry_after_s(self) -> float | None:
        """Return the seconds the server asks to wait, at most a day, or None."""
        return retry_after_s(self.headers.get("Retry-After"), DAY_S)


class Fetcher:
    """The one HTTP client of a crawl; use it as an async context manager."""

    def __init__(
        self,
        settings: WebSettings,
        guard: AddressGuard,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = settings.limits
        self._user_agent = settings.user_agent
        self._guard = guard
        self._resolver = resolver
        self._tls = tls

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=64,
            ssl=self._tls or True,
            resolver=self._resolver,
            socket_factory=self._guard.socket_factory(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # A proxy from the environment would bypass the guard.
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_s),
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            headers={
                "User-Agent": self._user_agent,
                "Accept": ACCEPT,
                "Accept-Encoding": "gzip, deflate, br",
                "Accept-Language": "en,*;q=0.5",
            },
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(
        self,
        url: Url,
        size_limit: SizeLimit,
        *,
        truncate: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Fetch one URL, at most `limits.request_s` long and `size_limit` bytes large once decompressed.

        A larger body raises FetchError, or is cut there if `truncate`. If `size_limit` rejects the type,
        the response says why its body was not read. Raises FetchError; twice is safe.
        """
        if reason := self._literal_refusal(url):
            raise FetchError(reason, lasting=True)
        try:
            async with asyncio.timeout(self._limits.request_s):
                return await self._get(url, size_limit, truncate, headers)
        except TimeoutError as error:
            raise FetchError(f"timed out after {self._limits.request_s:g} s") from error
        except aiohttp.ClientPayloadError as error:
            raise FetchError("the response was cut off") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise FetchError(certificate_trouble(error.certificate_error), lasting=True) from error
        except aiohttp.InvalidURL as error:
            raise FetchError("not a valid URL to request", lasting=True) from error
        except aiohttp.ClientOSError as error:
            refusal = refusal_in(error)
            raise FetchError(refusal or one_line(error), lasting=refusal is not None) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(one_line(error)) from error

    def _literal_refusal(self, url: Url) -> str | None:
        """Reject a literal address before connecting, for a clearer message; the socket factory decides about all others."""
        host = url.hostname.strip("[]")
        if ":" in host or host.replace(".", "").isdigit():
            return self._guard.refusal(host, url.port)
        return None

    async def _get(
        self,
        url: Url,
        size_limit: SizeLimit,
        truncate: bool,
        headers: Mapping[str, str] | None,
    ) -> Response:
        started = time.monotonic()
        async with self._session.get(URL(url.text, encoded=True), headers=headers, allow_redirects=False) as response:
            elapsed_s, readable_headers = time.monotonic() - started, readable(response.headers)
            if response.status != 200:
                return Response(url, response.status, readable_headers, elapsed_s=elapsed_s)
            answer = Response(url, 200, readable_headers, elapsed_s=elapsed_s)
            try:
                return replace(answer, body=await self._read(response, answer, size_limit, truncate))
            except UnwantedTypeError as error:
                response.close()
                return replace(answer, unread=str(error))

    async def _read(
        self, response: aiohttp.ClientResponse, answer: Response, size_limit: SizeLimit, truncate: bool
    ) -> bytes:
        """Return the body. Raises UnwantedTypeError, FetchError."""
        size_bytes = size_limit if isinstance(size_limit, int) else size_limit(answer.claim, None)
        if (response.content_length or 0) > size_bytes and not truncate:
            response.close()
            raise too_large_error(size_bytes)
        body = bytearray()
        is_judged = isinstance(size_limit, int)
        async for part in response.content.iter_chunked(CHUNK_BYTES):
            body += part
            if not is_judged and len(body) >= SNIFF_BYTES:
                size_bytes, is_judged = begun(size_limit, answer, body), True
            if len(body) > size_bytes:
                response.close()
                if not truncate:
                    raise too_large_error(size_bytes)
                break
        if not is_judged:
            begun(size_limit, answer, body)
        coding = answer.headers.get("Content-Encoding", "")
        return undone(bytes(body[:size_bytes]), coding, size_bytes, whole=not truncate)


def begun(size_limit: SizeLimit, answer: Response, body: bytearray) -> int:
    """Return how many bytes may be read of a body that begins like this. Raises UnwantedTypeError."""
    if isinstance(size_limit, int):
        return size_limit
    start = undone(bytes(body[:SNIFF_BYTES]), answer.headers.get("Content-Encoding", ""), SNIFF_BYTES, whole=False)
    return size_limit(answer.claim, start)
