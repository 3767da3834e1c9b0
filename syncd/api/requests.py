"""Reading requests: strict JSON, query strings and ids. Malformed input is a 400 with a one-line reason."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar

import anyio
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from syncd.api import patterns as rules
from syncd.api.errors import bad_request, error_response
from syncd.json_types import Json, JsonObject
from syncd.quoting import shown
from syncd.schema import unknown

M = TypeVar("M", bound=BaseModel)

BODY_TIMEOUT_S = 30.0
"""A body that is read whole must have arrived within this time."""
MAX_JSON_DEPTH = 64
"""Deeper JSON is refused: what reads filters and metadata later calls itself, and Chroma reads some 60 levels of `$and`."""


@asynccontextmanager
async def malformed_is_400(what: str) -> AsyncGenerator[None]:
    """Turn what aiohttp raises while reading a broken body into a 400. Only reads belong inside the block."""
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError) as error:
        detail = error.message if isinstance(error, HttpProcessingError) else str(error)
        raise bad_request(f"{what} is malformed: {detail[:200] or type(error).__name__}") from error
    except ConnectionError as error:
        raise bad_request(f"the connection broke while {what} was sent; send it again") from error
    except TimeoutError as error:
        raise bad_request(f"{what} did not arrive in time; send it again") from error


async def read_body(request: web.Request) -> bytes:
    """Return the whole body. Waits up to half a minute for it; twice is safe. Raises RefusedError (400)."""
    async with malformed_is_400("the request body"):
        with anyio.fail_after(BODY_TIMEOUT_S):
            return await request.read()


async def read_json(request: web.Request, model: type[M]) -> M:
    """Return the body as `model`. Waits for it as `read_body` does. Raises RefusedError (400)."""
    if request.content_type != "application/json":
        raise bad_request(f"content-type {request.content_type} is not supported; send application/json")
    return validated(model, loads(await read_body(request), "the request body"))


def read_query(request: web.Request, model: type[M]) -> M:
    """Return the query string as `model`, ignoring unknown parameters. Raises RefusedError (400)."""
    values: dict[str, str] = {}
    for name, value in request.query.items():
        if name in values:
            raise bad_request(f"{shown(name)} is given twice; give it once")
        values[name] = value
    return validated(model, values)


def require_known_parameters(request: web.Request, model: type[BaseModel] | None) -> None:
    """Raise RefusedError (400) for a query parameter that `model` does not have."""
    known = model.model_fields if model else ()
    for name in request.query:
        if name not in known:
            raise bad_request(unknown("parameter", name, known))


def path_id(request: web.Request, name: str) -> str:
    """Return the UUID in the path, in lower case. Raises RefusedError (400)."""
    return rules.uuid(request.match_info[name], name)


def loads(body: bytes, what: str) -> Json:
    """Parse strict JSON: UTF-8 without byte order mark, no duplicate keys, finite numbers, no lone surrogates, not too deep."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_not_a_number, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        _require_shallow(value)
    except UnicodeError as error:
        raise bad_request(f"{what} is not valid UTF-8") from error
    except RecursionError as error:
        raise bad_request(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise bad_request(f"{what} is not valid JSON: {error}") from error
    return value


def validated(model: type[M], value: object) -> M:
    """Return `value` as `model`. Raises RefusedError (400) that names the first invalid field, never its value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise bad_request(f"{where}: {message}" if where else message) from error


def _object(pairs: list[tuple[str, Json]]) -> JsonObject:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("an object has a duplicate key")
    return values


def _require_shallow(value: Json) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [inner for one in level if isinstance(one, dict | list) for inner in _within(one)]
    if level:
        raise RecursionError


def _within(value: JsonObject | Sequence[Json]) -> Iterable[Json]:
    return value.values() if isinstance(value, Mapping) else value


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a valid JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


async def continue_expected(request: web.Request) -> web.StreamResponse | None:
    """Answer a request that waits for leave to send its body; every other expectation is refused."""
    if request.headers.get("expect", "").lower() != "100-continue":
        return error_response(400, "only Expect: 100-continue is supported; omit the header")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # aiohttp decides by the bytes written whether a response has begun; an interim response does not count.
    request.writer.output_size = 0
    return None
