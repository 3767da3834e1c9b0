"""Routes as data: the router and the OpenAPI document are built from the same table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from aiohttp import web
from pydantic import BaseModel

from syncd.json_types import JsonObject

Shape = type[BaseModel] | list[type[BaseModel]] | dict[str, type[BaseModel]] | type[str] | None
"""A body: a model, `[model]` for an array, `{"*": model}` for a map, `str` for text that is no JSON, None: undocumented."""
RouteHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(Enum):
    """Who may call a route."""

    OPEN = "anybody"
    SIGNED = "whoever signs the message, which the route itself checks"
    LOCAL = "anybody on this machine while the server is bound to loopback, else a token"
    BEARER = "a token, in our header or as a bearer"
    TOKEN = "a token"  # noqa: S105 - not a password
    ADMIN = "a token that is not limited to databases"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: a method, a path, its handler and its documentation."""

    method: str
    path: str
    handle: RouteHandler
    operation_id: str
    tag: str
    summary: str
    answers: Mapping[int, Shape]
    """Response body by status."""
    errors: tuple[int, ...] = (400, 401, 403, 404, 500)
    """Statuses of errors; while what the route needs is away it is 503 where that is among them, else 500."""
    body: type[BaseModel] | None = None
    raw_body: JsonObject | None = None
    """An OpenAPI request body, if it is not a JSON model."""
    query: type[BaseModel] | None = None
    headers: tuple[JsonObject, ...] = ()
    """OpenAPI header parameters."""
    access: Access = Access.TOKEN
    only_reads: bool = False
    """A POST that changes nothing."""
    own: bool = False
    """Neither of the published API nor of somebody else's protocol: unknown fields and parameters are rejected."""
    description: str = ""

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that tokens that may only read can call it."""
        return self.method == "GET" or self.only_reads


def json_answer(value: object, status: int = 200) -> web.Response:
    """Return a JSON response."""
    return web.json_response(value, status=status)
