"""`/openapi.json`, generated from the routes and models that serve requests, so it cannot disagree with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, partial
from typing import Literal

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from syncd import __version__
from syncd.api.auth import TOKEN_HEADER
from syncd.api.errors import ErrorResponse
from syncd.api.route import Access, Route, Shape, json_answer
from syncd.json_types import Json, JsonObject, json_object

TEMPLATE = "#/components/schemas/{model}"
ERRORS: Mapping[int, str] = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    412: "Not in a state that allows this",
    429: "Too many concurrent uploads, or wrong tokens",
    500: "Server error",
    503: "Service is unavailable",
}


def document_route(routes: Iterable[Route]) -> Route:
    """Return the route that serves the OpenAPI document of `routes`, which is made when it is first asked for."""
    described = cache(partial(openapi_document, tuple(routes)))

    async def document(request: web.Request) -> web.Response:
        """Return the OpenAPI document, an eighth as large on the way."""
        answer = json_answer(described())
        answer.enable_compression()
        return answer

    return Route(
        "GET",
        "/openapi.json",
        document,
        "openapi",
        "System",
        "The OpenAPI document",
        {200: None},
        (403,),
        access=Access.OPEN,
    )


def openapi_document(routes: Iterable[Route]) -> JsonObject:
    """Return the OpenAPI 3.1 document of `routes`."""
    listed = list(routes)
    paths: dict[str, dict[str, JsonObject]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "syncd",
            "description": "Keeps Chroma collections equal to their sources.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "version": __version__,
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(listed),
            "securitySchemes": {"x-chroma-token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}},
        },
    }


def _operation(route: Route) -> JsonObject:
    operation: dict[str, Json] = {
        "operationId": route.operation_id,
        "tags": [route.tag],
        "summary": route.summary,
        "description": " ".join((route.handle.__doc__ or route.summary).split()),
        "parameters": [*_path_parameters(route), *_query_parameters(route), *map(dict, route.headers)],
        "responses": _responses(route),
    }
    if route.raw_body:
        operation["requestBody"] = dict(route.raw_body)
    elif route.body:
        schema = {"$ref": TEMPLATE.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.access not in (Access.OPEN, Access.SIGNED):
        operation["security"] = [{"x-chroma-token": []}, *([{}] if route.access is Access.LOCAL else [])]
    return operation


def _path_parameters(route: Route) -> list[JsonObject]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"}
            if name in ("source_id", "invocation_id")
            else {"type": "string"},
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route) -> list[JsonObject]:
    if route.query is None:
        return []
    properties: dict[str, JsonObject] = route.query.model_json_schema(ref_template=TEMPLATE)["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        for name, schema in properties.items()
    ]


def _without_null(schema: JsonObject) -> JsonObject:
    offered = schema.get("anyOf")
    options = [it for it in offered if it != {"type": "null"}] if isinstance(offered, list) else []
    return (
        json_object(options[0]) if len(options) == 1 else {name: it for name, it in schema.items() if name != "title"}
    )


def _responses(route: Route) -> JsonObject:
    answers = {
        str(status): {"description": route.summary, **_content(shape)} for status, shape in route.answers.items()
    }
    errors = {str(status): {"description": ERRORS[status], **_content(ErrorResponse)} for status in _errors(route)}
    return answers | errors


def _errors(route: Route) -> Iterable[int]:
    return route.errors if route.access in (Access.OPEN, Access.SIGNED) else sorted({*route.errors, 429})


def _content(shape: Shape) -> JsonObject:
    if shape is None:
        return {}
    if shape is str:
        return {"content": {"text/plain": {"schema": {"type": "string"}}}}
    (model,) = _models(shape)
    schema: JsonObject = {"$ref": TEMPLATE.format(model=model.__name__)}
    if isinstance(shape, list):
        schema = {"type": "array", "items": schema}
    elif isinstance(shape, dict):
        schema = {"type": "object", "additionalProperties": schema}
    return {"content": {"application/json": {"schema": schema}}}


def _models(shape: Shape) -> list[type[BaseModel]]:
    if isinstance(shape, list):
        return shape
    if isinstance(shape, dict):
        return list(shape.values())
    return [shape] if shape is not None and issubclass(shape, BaseModel) else []


def _schemas(routes: list[Route]) -> JsonObject:
    mode: Literal["validation"] = "validation"
    models: set[type[BaseModel]] = {ErrorResponse}
    for route in routes:
        models.update(model for shape in route.answers.values() for model in _models(shape))
        if route.body:
            models.add(route.body)
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, mode) for model in ordered], ref_template=TEMPLATE)
    return schemas["$defs"]
