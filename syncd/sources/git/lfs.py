"""Fetches the files that Git LFS pointers stand for, from the repository's own server or from where it says they are.

Source: github.com/git-lfs/git-lfs, docs/api/server-discovery.md, batch.md and basic-transfers.md. `.lfsconfig` is not
read: where the credential is sent must not depend on what somebody committed. No proxy is used: it would dial whatever
it is told to.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import aiohttp
from pydantic import ValidationError
from yarl import URL

from syncd.errors import PermanentError, PutOffError, RetryableError, SyncdError
from syncd.runtime.headers import retry_after_s
from syncd.schema import Model
from syncd.sources.bodies import BODY_PIECE_SIZE_BYTES
from syncd.sources.git.errors import Unauthorized
from syncd.sources.git.pointers import Pointer
from syncd.sources.git.remote import Login, Remote
from syncd.sources.web.addresses import AddressGuard
from syncd.sources.web.fetch_errors import one_line, refusal_in

_JSON = "application/vnd.git-lfs+json"
_MAX_ANSWER_BYTES = 1 << 20
_CONNECT_S, _SILENCE_S, _WHOLE_S = 30.0, 60.0, 1800.0
"""Limits of one request; the last one bounds what a server that sends a byte a minute can keep busy."""
_REDIRECTS = 5
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "range"})
"""Headers of a download that the server has no say in."""


class _Action(Model):
    href: str
    header: dict[str, str] | None = None


class _Actions(Model):
    download: _Action | None = None


class _ObjectError(Model):
    code: int
    message: str = ""


class _Object(Model):
    oid: str
    actions: _Actions | None = None
    error: _ObjectError | None = None


class _Batch(Model):
    transfer: str | None = None
    objects: list[_Object]


@dataclass(frozen=True, slots=True)
class LfsDownload:
    """Where an object is, for the next minutes."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


class GitLfs:
    """The LFS server of one repository."""

    def __init__(self, remote: Remote, guard: AddressGuard) -> None:
        """`guard` says which addresses may be dialled besides the repository's own server."""
        self._remote = remote
        self._guard = guard
        self._url = f"{remote.url.removesuffix('/').removesuffix('.git')}.git/info/lfs"

    async def locate(self, pointer: Pointer, login: Login | None) -> LfsDownload:
        """Return where an object is. Waits for the network; twice is safe.

        Raises Unauthorized, RetryableError while the server cannot say, PutOffError if it does not have the object or does
        not let us have it, PermanentError for an answer that is none.
        """
        wanted = {"oid": pointer.oid, "size": pointer.size_bytes}
        asked = {"operation": "download", "transfers": ["basic"], "hash_algo": "sha256", "objects": [wanted]}
        own = {"Authorization": login.header} if login else {}
        headers = {"Accept": _JSON, "Content-Type": _JSON, **own}
        async with self._request("POST", f"{self._url}/objects/batch", headers, json.dumps(asked)) as answer:
            if answer.status != 200:
                raise _refusal(answer, self._remote.name)
            text = bytearray()
            async for piece in answer.content.iter_chunked(BODY_PIECE_SIZE_BYTES):
                text += piece
                if len(text) > _MAX_ANSWER_BYTES:
                    raise RetryableError(f"the LFS server of {self._remote.name} answered with too much")
        action = self._action(bytes(text), pointer)
        given = {name: value for name, value in (action.header or {}).items() if name.lower() not in _OURS}
        is_sent_along = any(name.lower() == "authorization" for name in given) or not self._is_own(action.href)
        return LfsDownload(action.href, given if is_sent_along else {**given, **own})

    async def read(self, download: LfsDownload) -> AsyncGenerator[bytes, None]:
        """Yield an object's bytes as they arrive, unchecked. Raises Unauthorized, RetryableError, PutOffError, PermanentError."""
        url, headers = download.url, download.headers
        for _ in range(_REDIRECTS + 1):
            async with self._request("GET", url, headers) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    target = urljoin(url, answer.headers.get("Location", ""))
                    # What was meant for one server is nothing that another one should see.
                    headers = headers if _origin(target) == _origin(url) else dict[str, str]()
                    url = target
                    continue
                if answer.status != 200:
                    raise _refusal(answer, self._remote.name)
                async for piece in answer.content.iter_chunked(BODY_PIECE_SIZE_BYTES):
                    yield piece
                return
        raise PermanentError(f"the LFS server of {self._remote.name} redirects again and again")

    @asynccontextmanager
    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], data: str | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        self._check(url)
        guard = self._remote.guard if self._is_own(url) else self._guard
        connector = aiohttp.TCPConnector(socket_factory=guard.socket_factory()) if guard else aiohttp.TCPConnector()
        timeout = aiohttp.ClientTimeout(total=_WHOLE_S, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
        # Sizes and digests are those of the bytes as they are stored.
        plain = {"User-Agent": "syncd", "Accept-Encoding": "identity"}
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=timeout,
                    auto_decompress=False,
                ) as session,
                session.request(
                    method,
                    # A signed URL must be asked for as it was written.
                    URL(url, encoded=True),
                    headers={**plain, **headers},
                    data=data,
                    allow_redirects=False,
                ) as answer,
            ):
                yield answer
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._translated(error, url) from error

    def _translated(self, error: Exception, url: str) -> SyncdError:
        host = urlsplit(url).hostname
        if reason := refusal_in(error):
            return PermanentError(f"Git LFS: {host} may not be read from: {reason}, in [git]")
        if isinstance(error, ValueError):
            return PermanentError(f"Git LFS: the server of {self._remote.name} names an impossible URL or header")
        return RetryableError(f"Git LFS: cannot read from {host} ({one_line(error)})")

    def _action(self, answer: bytes, pointer: Pointer) -> _Action:
        """Return how to download the object. Raises PutOffError if the server says why not, PermanentError if it says nothing."""
        name = self._remote.name
        try:
            batch = _Batch.model_validate_json(answer)
        except ValidationError as error:
            raise PermanentError(
                f"Git LFS: the server of {name} gave an unexpected answer to a batch request"
            ) from error
        found = next((one for one in batch.objects if one.oid == pointer.oid), None)
        if found and found.error:
            said = "".join(filter(str.isprintable, found.error.message))[:200]
            raise PutOffError(f"Git LFS: the server of {name} does not give {pointer.oid} ({found.error.code}: {said})")
        if batch.transfer not in (None, "basic") or not (found and found.actions and found.actions.download):
            raise PermanentError(f"Git LFS: the server of {name} offers no download of {pointer.oid}")
        return found.actions.download

    def _is_own(self, url: str) -> bool:
        return _origin(url) == _origin(self._remote.url)

    def _check(self, url: str) -> None:
        scheme, host, _ = _origin(url)
        if not host or scheme not in ("https", self._remote.scheme):
            raise PermanentError(f"Git LFS: the server of {self._remote.name} sends us to a URL that is not https")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _refusal(answer: aiohttp.ClientResponse, name: str) -> SyncdError:
    """Return the error for a status. Source: docs/api/batch.md, "Response Errors"; 507 and 509 are used-up quotas."""
    status = answer.status
    if status == 401:
        return Unauthorized(f"Git LFS: the server of {name} refused the credentials, or wants some")
    if status in (403, 404, 410):
        return PutOffError(f"Git LFS: the server of {name} answered {status}: is LFS switched on, and may it be read?")
    if status in (408, 429) or status >= 500:
        wait_s = retry_after_s(answer.headers.get("Retry-After"))
        return RetryableError(f"Git LFS: the server of {name} answered {status}", wait_s)
    return PermanentError(f"Git LFS: the server of {name} answered {status}")
