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

from syncd.runtime.headers import retry_after_s, storable
from syncd.sources.web.addresses import AddressGuard, RefusedAddressError
from syncd.sources.web.headers import readable
from syncd.sources.web.media import UnwantedTypeError
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.urls import Url

CHUNK_BYTES = 64 << 10
DAY_S = 86_400.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ACCEPT = "text/html,application/xhtml+xml,text/markdown,text/plain;q=0.8,application/pdf;q=0.8,*/*;q=0.5"


class SizeRule(Protocol):
    """Decides by its type how much of a body is read."""

    def __call__(self, media_type: str, url: Url, /) -> int:
        """Return how many bytes may be read. Raises UnwantedTypeError if the type is not wanted."""
        ...


SizeLimit = int | SizeRule


class FetchError(Exception):
    """A request got no complete response; the message says why. `lasting`: a retry would fail the same way."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


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
    def media_type(self) -> str:
        """Return the type without parameters, in lower case; '' if the server names none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

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
            headers={
                "User-Agent": self._user_agent,
                "Accept": ACCEPT,
                "Accept-Encoding": "gzip, deflate",
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
                size_bytes = size_limit if isinstance(size_limit, int) else size_limit(answer.media_type, url)
            except UnwantedTypeError as error:
                response.close()
                return replace(answer, unread=str(error))
            body = await self._read(response, size_bytes, truncate)
            return replace(answer, body=body)

    async def _read(self, response: aiohttp.ClientResponse, size_bytes: int, truncate: bool) -> bytes:
        too_large = FetchError(f"larger than {size_bytes} bytes", lasting=True)
        if (response.content_length or 0) > size_bytes and not truncate:
            response.close()
            raise too_large
        parts: list[bytes] = []
        total = 0
        async for part in response.content.iter_chunked(CHUNK_BYTES):
            total += len(part)
            parts.append(part)
            if total > size_bytes:
                response.close()
                if not truncate:
                    raise too_large
                return b"".join(parts)[:size_bytes]
        return b"".join(parts)


def certificate_trouble(error: Exception) -> str:
    """Return in a site owner's words what is wrong with a certificate (codes: X509_V_ERR_* of OpenSSL)."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not valid ({one_line(error)})"
    match error.verify_code:
        case 9 | 10:
            return "its TLS certificate has expired or is not valid yet; the site's owner must renew it"
        case 18 | 19 | 20 | 21:
            return "its TLS certificate is not signed by a trusted authority; SSL_CERT_FILE can name an authority"
        case 62 | 64:
            return f"its TLS certificate is for another host ({error.verify_message})"
        case _:
            return f"its TLS certificate is not valid ({one_line(error)})"


def refusal_in(error: BaseException) -> str | None:
    """Return the guard's own words where it was the guard that refused, else None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RefusedAddressError):
        cause = cause.__cause__
    return None if cause is None else str(cause)


def one_line(error: BaseException) -> str:
    """Return an error's type and text on one line."""
    return storable(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
