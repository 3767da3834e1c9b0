"""Chroma's HTTP API through the chromadb package, with its errors in our words. Importing this imports chromadb."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

import httpx
import orjson
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.models.AsyncCollection import (  # pyright: ignore[reportMissingTypeStubs] - not a package
    AsyncCollection as Collection,
)
from chromadb.api.types import Schema
from chromadb.base_types import SparseVector as ChromaSparse
from chromadb.config import Settings, System
from chromadb.types import Collection as CollectionModel
from typing_extensions import override

from syncd.chroma.rows import RefusedError
from syncd.chroma.shape import (
    QueryFunction,
    Shape,
    SparseIndex,
    configuration_of,
    function_of,
    has_sparse_index,
    schema_of,
)
from syncd.errors import ConflictError, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.model import SparseVector, Target
from syncd.runtime.headers import retry_after_s

_CORRUPT = re.compile(r"hnsw (segment|index)|apply logs|pickle", re.IGNORECASE)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class CorruptError(PermanentError):
    """The server cannot read the collection's index files."""


class Api(AsyncFastAPI):
    """The chromadb package's own client, on an HTTP connection pool of ours.

    Replaced is the one method through which every request goes: as it comes, it drops the status of answers it does not
    know, and shares connections (and so credentials) between clients of different servers. Call `aclose` at the end.
    """

    @override
    def _get_client(self) -> httpx.AsyncClient:
        if "_http" not in self.__dict__:
            self._http = httpx.AsyncClient(
                timeout=None,  # noqa: S113 - limited by the caller, for whole operations
                headers={**(self._settings.chroma_server_headers or {}), "Content-Type": "application/json"},
                limits=self.http_limits,
                trust_env=self._settings.chroma_server_host not in _LOOPBACK,
            )
        return self._http

    @override
    async def _make_request(self, method: str, path: str, **kwargs: Any) -> Any:
        if "json" in kwargs:
            kwargs["content"] = orjson.dumps(kwargs.pop("json"), option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            url = httpx.URL(self._api_url)
            response = await self._get_client().request(method, url.copy_with(path=url.path + path), **kwargs)
        except httpx.TransportError as error:
            raise RetryableError(
                f"Chroma at {self._api_url} cannot be reached: {error or type(error).__name__}"
            ) from error
        if response.is_success:
            return orjson.loads(response.content)
        raise translated(response.status_code, response.text, response.headers)

    async def open(
        self, target: Target, tenant: str, shape: Shape, sparse: SparseIndex | None = None
    ) -> CollectionModel:
        """Return the collection, made with `shape` if it is not there; with `sparse`, by a schema that indexes it."""
        body = {
            "name": target.collection,
            "metadata": None,
            "configuration": None if sparse else configuration_of(shape),
            "schema": schema_of(shape, sparse, Schema().serialize_to_json()) if sparse else None,
            "get_or_create": True,
        }
        path = f"/tenants/{tenant}/databases/{target.database}/collections"
        return CollectionModel.from_json(await self._make_request("post", path, json=body))

    async def record(self, target: Target, tenant: str, collection_id: object, queries: QueryFunction) -> None:
        """Replace the function that a collection records for its queries."""
        changes = {"hnsw": None, "spann": None, "embedding_function": function_of(queries)}
        body = {"new_metadata": None, "new_name": None, "new_configuration": changes}
        path = f"/tenants/{tenant}/databases/{target.database}/collections/{collection_id}"
        await self._make_request("put", path, json=body)

    async def aclose(self) -> None:
        """Close the connections. Twice is safe."""
        if "_http" in self.__dict__:
            await self._http.aclose()


def connect(host: str, port: int, ssl: bool, headers: Mapping[str, str]) -> Api:
    """Return a client of the server at `host`; nothing is sent yet, and never any telemetry."""
    settings = Settings(
        anonymized_telemetry=False,
        chroma_server_host=host,
        chroma_server_http_port=port,
        chroma_server_ssl_enabled=ssl,
        chroma_server_headers=dict(headers),
    )
    return System(settings).instance(Api)


class _Handle(Collection):
    """A collection without its schema, which the package builds anew for every write just to look for an embedding
    function in it; with one recorded that means two HTTP clients and a fifth of a second each time.
    """

    @property
    @override
    def schema(self) -> None:
        """Nothing: we bring our vectors, dense and sparse."""
        return


def handle(api: Api, model: Any) -> Collection:
    """Return the collection that `model` describes, without any embedding function: we bring our vectors."""
    return _Handle(client=api, model=model, embedding_function=None)


def takes_sparse(collection: Collection, key: str) -> bool:
    """Return whether the collection indexes sparse vectors under `key`."""
    return has_sparse_index(collection._model.serialized_schema, key)  # pyright: ignore[reportPrivateUsage] - no other way


def sparse_value(vector: SparseVector) -> ChromaSparse:
    """Return a sparse vector as a metadata value."""
    return ChromaSparse(indices=vector.indices.tolist(), values=vector.values.tolist())


def translated(status: int, text: str, headers: Mapping[str, str]) -> SyncdError:
    """Return the error that says what to do about an HTTP answer that is not a success."""
    message = _message(text) or f"HTTP {status}"
    if status in (401, 403):
        return RetryableError(f"Chroma refuses our credentials: check its api_key or headers ({message})")
    if status == 404 or (status == 400 and message.endswith("does not exist")):
        return NotFoundError(message)
    if status == 409 or "already exists" in message:
        return ConflictError(message)
    if status >= 500 and _CORRUPT.search(message):
        return CorruptError(message)
    if status in (408, 429) or status >= 500:
        return RetryableError(f"Chroma answers: {message}", retry_after_s(headers.get("retry-after")))
    return RefusedError(f"Chroma refuses: {message}")


def _message(text: str) -> str:
    try:
        body: object = json.loads(text)
    except ValueError:
        body = text
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        body = fields.get("message") or fields.get("error") or text
    return " ".join(str(body).split())[:500]
