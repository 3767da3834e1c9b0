"""Object stores that are read over plain HTTP: requests that prove who asks, errors translated, retries, throttling, parts of bodies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import anyio
from yarl import URL

from syncd.errors import RetryableError, SyncdError
from syncd.runtime.headers import retry_after_s, storable
from syncd.runtime.retry import Backoff, retrying
from syncd.sources.objects.transport import ThrottledError, Transport

T = TypeVar("T")

NETWORK_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
ANSWER_MAX_BYTES = 64 << 20
"""Of a page of a listing; 5,000 names of 1,024 bytes with their properties are under 20 MB."""
REFUSAL_MAX_BYTES = 64 << 10
SUCCESSES = frozenset({200, 204, 206})


@dataclass(frozen=True, slots=True)
class Asking:
    """One request."""

    url: URL
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    method: str = "GET"
    body: bytes | Mapping[str, str] | None = None
    """What is sent; a mapping as a form."""


@dataclass(frozen=True, slots=True)
class RefusedAnswer:
    """An answer that is an error."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """How long the service asks to wait."""
        return retry_after_s(self.headers.get("Retry-After"))


class Signer(Protocol):
    """Proves who asks."""

    async def signed(self, asking: Asking) -> Asking:
        """Return the request with the proof. May wait for the network. Raises MisconfiguredError, RetryableError."""
        ...

    def forget(self) -> bool:
        """Forget a proof that was refused; return whether another one may be had."""
        ...


class Anonymous:
    """Proves nothing, which public buckets and containers ask for."""

    async def signed(self, asking: Asking) -> Asking:
        """Return the request as it is; never waits."""
        return asking

    def forget(self) -> bool:
        """Return False: there is nothing else."""
        return False


Translate = Callable[[RefusedAnswer, str], SyncdError]
"""Returns the error of ours; the text names what was requested, such as 'gs://b/key'."""


class HttpClient:
    """The connections of all sources of one type, opened when they are first used. Close it after everything that uses it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return the session; never waits."""
        if self._session is None:
            limits = aiohttp.ClientTimeout(
                total=None,
                sock_connect=self.transport.connect_timeout_s,
                sock_read=self.transport.stall_timeout_s,
            )
            self._session = aiohttp.ClientSession(
                timeout=limits,
                connector=aiohttp.TCPConnector(limit_per_host=self.transport.connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Sizes and ranges are those of the bytes as stored.
                auto_decompress=False,
                trust_env=True,
            )
        return self._session

    async def close(self) -> None:
        """Close every connection. Twice is safe."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


@dataclass(frozen=True, slots=True)
class HttpPart:
    """Some bytes of an object as they arrive; an `objects.download.ObjectPart`."""

    response: aiohttp.ClientResponse
    what: str

    @property
    def is_whole(self) -> bool:
        """Whether the answer is the whole object (RFC 9110 section 15.3.7: a part has status 206)."""
        return self.response.status == 200

    @property
    def coding(self) -> str | None:
        """Return the object's Content-Encoding."""
        return self.response.headers.get("Content-Encoding")

    async def read(self, size_bytes: int, /) -> bytes:
        """Return up to so many bytes, none at the end. Raises RetryableError."""
        try:
            return await self.response.content.read(size_bytes)
        except NETWORK_FAILURES as error:
            raise RetryableError(f"{self.what}: the connection failed ({brief(error)})") from error


class HttpConnection:
    """One bucket or container at one endpoint. Any number of tasks may use it."""

    def __init__(self, client: HttpClient, signer: Signer, translate: Translate) -> None:
        self.transport = client.transport
        self.downloads = anyio.Semaphore(client.transport.downloads, fast_acquire=True)
        self.backoff = Backoff(client.transport.backoff_base_s, cap_s=client.transport.backoff_cap_s)
        self._client = client
        self._signer = signer
        self._translate = translate
        self._quiet_until = 0.0

    @asynccontextmanager
    async def answer(self, asking: Asking, what: str) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Yield the answer to one attempt, held back while the service is throttling. Raises errors of ours."""
        if (wait_s := self._quiet_until - anyio.current_time()) > 0:
            await anyio.sleep(wait_s)
        async with exchange(self._client, await self._signer.signed(asking), what) as response:
            if response.status not in SUCCESSES:
                raise await self._refused(response, what)
            yield response

    async def once(self, asking: Asking, what: str, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of an answer's body; one attempt. Raises errors of ours."""
        async with self.answer(asking, what) as response:
            body = await bounded_body(response, what, ANSWER_MAX_BYTES)
            try:
                return read(body)
            except (KeyError, TypeError, ValueError) as error:
                raise RetryableError(
                    f"{what}: unexpected answer ({type(error).__name__}); check the endpoint"
                ) from error

    async def call(self, asking: Asking, what: str, read: Callable[[bytes], T]) -> T:
        """Like `once`, with retries of retryable errors, within `call_timeout_s`. The request must be safe to repeat."""
        limits = self.transport
        return await retrying(
            lambda: self.once(asking, what, read),
            self.backoff,
            attempts=limits.attempts,
            deadline_s=limits.call_timeout_s,
        )

    async def _refused(self, response: aiohttp.ClientResponse, what: str) -> SyncdError:
        refusal = RefusedAnswer(
            response.status, response.headers, await bounded_body(response, what, REFUSAL_MAX_BYTES)
        )
        if refusal.status in (401, 403) and self._signer.forget():
            return RetryableError(f"{what}: the access token was refused; another one is asked for")
        ours = self._translate(refusal, what)
        if isinstance(ours, ThrottledError):
            # Every task on this connection waits, so that one throttled call does not become one per task.
            quiet_s = ours.retry_after_s or self.backoff.base_s
            self._quiet_until = max(self._quiet_until, anyio.current_time() + quiet_s)
        return ours


@asynccontextmanager
async def exchange(client: HttpClient, asking: Asking, what: str) -> AsyncGenerator[aiohttp.ClientResponse]:
    """Yield the answer to a request, whatever its status; redirects are answers. Raises RetryableError where there is none."""
    headers = {"Accept-Encoding": "identity", **asking.headers}
    request = client.session().request(
        asking.method,
        asking.url,
        headers=headers,
        # No type of nothing: nobody has signed it.
        skip_auto_headers=() if asking.body else ("Content-Type",),
        data=asking.body,
        allow_redirects=False,
    )
    try:
        response = await request
    except NETWORK_FAILURES as error:
        raise RetryableError(f"{what}: the connection failed ({brief(error)})") from error
    async with response:
        yield response


def address_of(base: str, query: Mapping[str, str]) -> URL:
    """Return a URL that is sent exactly so: every value percent-encoded, spaces too."""
    return URL(f"{base}?{urlencode(query, quote_via=quote)}", encoded=True)


async def bounded_body(response: aiohttp.ClientResponse, what: str, most_bytes: int) -> bytes:
    """Return an answer's body, the rest of a longer one cut off. Raises RetryableError."""
    part, found = HttpPart(response, what), bytearray()
    while len(found) < most_bytes and (piece := await part.read(most_bytes - len(found))):
        found += piece
    return bytes(found)


def brief(error: Exception) -> str:
    """Return what went wrong on the line, without the URL: it may hold a signature."""
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
        return type(error).__name__
    return storable(" ".join(str(error).split())[:300]) or type(error).__name__
