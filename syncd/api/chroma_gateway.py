"""Chroma's own API behind the daemon's port and tokens, for ordinary Chroma clients: `/api/v2`, limited to a token's databases.

Chroma 1.5.9 has no authentication, and finds a collection by its id whatever database a request names: ids are looked up
first. What is passed on is a request's method, path, query and body, with the headers that our configuration gives Chroma;
bodies are streamed both ways. The paths are those of Chroma's OpenAPI document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import quote

import aiohttp
import anyio
from aiohttp import web

from syncd.api.auth import TOKEN, scope
from syncd.api.chroma_requests import OPERATIONS, bounded, id_in, only_reads
from syncd.api.errors import RefusedError
from syncd.api.route import Access, Route, RouteHandler, json_answer
from syncd.chroma.connection import ChromaSettings
from syncd.errors import RetryableError
from syncd.json_types import Json, json_object

PREFIX = "/api/v2"
CLIENT_LIMIT_S = 300.0
"""How long Chroma may take for one request."""
_OPEN = frozenset({(), ("heartbeat",), ("healthcheck",), ("version",), ("pre-flight-checks",)})
_PAGE = 1000
AT_ONCE_PER_TOKEN = 16
"""Requests of one token that Chroma is sent at once; more wait for these, so that slow ones keep nobody else waiting."""
_HEADERS = ("accept", "content-type")


class NoGateway:
    """Answers `/api/v2` of a daemon that writes to another vector store, by what to use instead."""

    def __init__(self, store_name: str) -> None:
        self._store_name = store_name

    async def close(self, _app: web.Application | None = None) -> None:
        """Do nothing: nothing was opened."""

    @property
    def routes(self) -> Sequence[Route]:
        """The routes, as a daemon with Chroma has them."""
        return _answered_by(self.answer)

    async def answer(self, _request: web.Request) -> web.StreamResponse:
        """Raise RefusedError."""
        raise RefusedError(
            404,
            f"this daemon writes to {self._store_name}, which Chroma's clients do not reach: use {self._store_name}'s own, or search "
            "through syncd (POST /api/v1/search, `syncd search`)",
        )


class ChromaGateway:
    """Answers `/api/v2`. Nothing is opened before the first request; call `close` at the end."""

    def __init__(self, settings: ChromaSettings) -> None:
        self._settings = settings
        scheme = "https" if settings.ssl else "http"
        self._base = f"{scheme}://{settings.host}:{settings.port}{PREFIX}"
        self._session: aiohttp.ClientSession | None = None
        self._turns: defaultdict[str, anyio.Semaphore] = defaultdict(lambda: anyio.Semaphore(AT_ONCE_PER_TOKEN))

    async def close(self, _app: web.Application | None = None) -> None:
        """Close the connections. Twice is safe."""
        if self._session is not None:
            await self._session.close()

    @property
    def routes(self) -> Sequence[Route]:
        """The routes; which of them a token may call is decided by the path."""
        return _answered_by(self.answer)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on if its token covers it. Raises RefusedError, and RetryableError while Chroma is away."""
        path = tuple(request.match_info.get("path", "").rstrip("/").split("/")) if "path" in request.match_info else ()
        path = () if path == ("",) else path
        if any(part in ("", ".", "..") for part in path):
            raise RefusedError(404, "Chroma has no such path")
        if path == ("auth", "identity"):
            return json_answer(self._identity(request))
        try:
            databases = await self._allowed(request, path)
            async with self._turns[request[TOKEN].id]:
                return await self._passed_on(request, path, databases)
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, RefusedError):
                raise error.__cause__ from error
            raise RetryableError(f"Chroma cannot be reached: {str(error) or type(error).__name__}") from error

    def _identity(self, request: web.Request) -> dict[str, object]:
        """Return who the caller is, from which Chroma's clients take their tenant and, if it is the only one, their database."""
        databases = scope(request)
        named = ["*"] if databases is None else sorted(databases)
        return {"user_id": request[TOKEN].name, "tenant": self._settings.tenant, "databases": named}

    async def _allowed(self, request: web.Request, path: tuple[str, ...]) -> frozenset[str] | None:
        """Return the databases that a listing is to be limited to, None for everything else. Raises RefusedError."""
        writes = not only_reads(request.method, path)
        if writes and request[TOKEN].access == "read":
            raise RefusedError(403, "the token may only read; use one that may write")
        databases = scope(request)
        if path == ("reset",):
            raise RefusedError(403, "collections are not reset through syncd; remove their sources instead")
        if databases is None or (path in _OPEN and not writes):
            return None
        match path:
            case ("tenants", tenant) if tenant == self._settings.tenant and not writes:
                return None
            case ("tenants", tenant, "databases") if tenant == self._settings.tenant and not writes:
                return databases
            case ("tenants", tenant, "databases", database, *rest) if tenant == self._settings.tenant:
                self._require(databases, database, writes=writes and not rest)
                await self._require_own(path[:4], rest)
                return None
            case _:
                raise RefusedError(403, "this needs a token that is not limited to databases")

    @staticmethod
    def _require(databases: frozenset[str], database: str, *, writes: bool) -> None:
        if database not in databases:
            raise RefusedError(403, "the token does not cover this database; use one that does")
        if writes:
            raise RefusedError(403, "databases are made and deleted with a token that is not limited to databases")

    async def _require_own(self, place: tuple[str, ...], rest: list[str]) -> None:
        """Raise RefusedError unless a path below a database stays within it."""
        match rest:
            case [] | ["collections"] | ["collections_count"]:
                return
            case ["collections", "by-id", named] | ["collections", named]:
                pass
            case ["collections", named, operation] if operation in OPERATIONS:
                pass
            case _:
                raise RefusedError(403, "this needs a token that is not limited to databases")
        if (ident := id_in(named)) and not await self._is_in(place, ident):
            raise RefusedError(404, f"collection {named} does not exist in this database")

    async def _is_in(self, place: tuple[str, ...], ident: str) -> bool:
        """Return whether a database has a collection of this id; one of this name would not be the one that Chroma finds.

        Raises RetryableError.
        """
        offset = 0
        while True:
            url = f"{self._url((*place, 'collections'))}?limit={_PAGE}&offset={offset}"
            async with self._client().get(url) as answer:
                if answer.status != 200:
                    raise RetryableError(f"Chroma answers {answer.status} to a listing of collections")
                found: Json = await answer.json()
            page = [json_object(one) for one in found] if isinstance(found, list) else []
            if any(one["id"] == ident for one in page):
                return True
            if len(page) < _PAGE:
                return False
            offset += _PAGE

    async def _passed_on(
        self, request: web.Request, path: tuple[str, ...], databases: frozenset[str] | None
    ) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        body = bounded(request.content, path) if request.can_read_body else None
        async with self._client().request(
            request.method, self._url(path) + query, headers=headers, data=body
        ) as answer:
            if databases is not None and answer.status == 200:
                listed: Json = await answer.json()
                own = (
                    [one for one in listed if json_object(one)["name"] in databases] if isinstance(listed, list) else []
                )
                return json_answer(own)
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            async for block in answer.content.iter_chunked(1 << 16):
                await response.write(block)
            await response.write_eof()
            return response

    def _url(self, path: tuple[str, ...]) -> str:
        return "/".join([self._base, *(quote(part, safe="") for part in path)])

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            network = self._settings.network
            self._session = aiohttp.ClientSession(
                connector=network.connector() if network else aiohttp.TCPConnector(limit=0),
                headers=self._settings.headers,
                timeout=aiohttp.ClientTimeout(total=CLIENT_LIMIT_S),
                requote_redirect_url=False,
            )
        return self._session


def _answered_by(answer: RouteHandler) -> Sequence[Route]:
    return [
        Route(
            method,
            PREFIX + tail,
            answer,
            "chroma",
            "Chroma",
            "Chroma's API",
            {200: None},
            errors=(401, 403, 404, 503),
            access=Access.BEARER,
            only_reads=True,
        )
        for method in ("GET", "POST", "PUT", "DELETE")
        for tail in ("", "/{path:.*}")
    ]


def _kept(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return what of an answer's headers is Chroma's to say."""
    return MappingProxyType({name: headers[name] for name in ("content-type", "retry-after") if name in headers})
