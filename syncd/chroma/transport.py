"""Chroma's HTTP API through the chromadb package, with its errors in our words (`refusals`). Importing this imports chromadb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import httpx
import numpy as np
import orjson
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.models.AsyncCollection import (  # pyright: ignore[reportMissingTypeStubs] - not a package
    AsyncCollection,
)
from chromadb.api.types import Schema
from chromadb.base_types import SparseVector as ChromaSparse
from chromadb.config import Settings, System
from chromadb.types import Collection as CollectionModel
from numpy.typing import NDArray
from typing_extensions import override

from syncd.chroma.network import ServerNetwork
from syncd.chroma.network_transport import NetworkTransport
from syncd.chroma.refusals import LostError, error_of, no_chroma
from syncd.chroma.rows import RowColumns
from syncd.chroma.shape import configuration_of, has_sparse_index, schema_of
from syncd.errors import RetryableError
from syncd.json_types import is_array, is_object
from syncd.model import CollectionShape, Scalar, SparseIndex, SparseVector, Target
from syncd.row_checks import MetadataRecord

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Api(AsyncFastAPI):
    """The chromadb package's own client, on an HTTP connection pool of ours.

    The one method through which every request goes is replaced: the original drops the status of unknown responses, and
    shares connections (and so credentials) between clients of different servers. Call `aclose` at the end.
    """

    network: ServerNetwork | None = None

    @override
    def _get_client(self) -> httpx.AsyncClient:
        if "_http" not in self.__dict__:
            transport = NetworkTransport(self.network, self.http_limits) if self.network else None
            self._http = httpx.AsyncClient(
                transport=transport,
                # Where nothing is encrypted there is nothing to verify, and reading the certificates takes 50 ms of CPU.
                verify=bool(self._settings.chroma_server_ssl_enabled),
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
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise LostError(
                f"Chroma at {self._api_url} ended the connection: {error or type(error).__name__}"
            ) from error
        except httpx.TransportError as error:
            raise RetryableError(
                f"Chroma at {self._api_url} cannot be reached: {error or type(error).__name__}"
            ) from error
        if not response.is_success:
            raise error_of(response.status_code, response.text, response.headers)
        try:
            answer: object = orjson.loads(response.content)
        except ValueError as error:
            raise RetryableError(no_chroma(self._api_url)) from error
        if not _is_due(answer, method, path):
            raise RetryableError(no_chroma(self._api_url))
        return answer

    @override
    async def get_pre_flight_checks(self) -> Any:
        checks = await super().get_pre_flight_checks()
        if type(checks.get("max_batch_size")) is not int:
            # They are kept for good: without a limit every write would be refused as too large, even once Chroma is back.
            self.pre_flight_checks = None
            raise RetryableError(no_chroma(self._api_url))
        return checks

    async def open(
        self, target: Target, tenant: str, shape: CollectionShape, sparse: SparseIndex | None = None
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

    async def change(self, target: Target, tenant: str, collection_id: str, changes: Mapping[str, object]) -> None:
        """Change a collection's `new_name` (two milliseconds in Chroma 1.5.9), `new_metadata` or `new_configuration`."""
        path = f"/tenants/{tenant}/databases/{target.database}/collections/{collection_id}"
        await self._make_request("put", path, json=changes)

    async def aclose(self) -> None:
        """Close the connections. Twice is safe."""
        if "_http" in self.__dict__:
            await self._http.aclose()


def _is_due(answer: object, method: str, path: str) -> bool:
    """Return whether an answer is of the type that Chroma's is: a list of collections, a number of rows, else an object."""
    match path.split("/")[5:]:
        case ["collections"] if method == "get":
            return is_array(answer) and all(map(is_object, answer))
        case ["collections", _, "count"]:
            return type(answer) is int
        case _:
            return is_object(answer)


def connect(host: str, port: int, ssl: bool, headers: Mapping[str, str], network: ServerNetwork | None) -> Api:
    """Return a client of the server at `host`, in its `network` if it has one; nothing is sent yet, and telemetry is off."""
    settings = Settings(
        anonymized_telemetry=False,
        chroma_server_host=host,
        chroma_server_http_port=port,
        chroma_server_ssl_enabled=ssl,
        chroma_server_headers=dict(headers),
    )
    api = System(settings).instance(Api)
    api.network = network
    return api


class Collection(Protocol):
    """One collection, as far as it is used here; the package's own types are less precise."""

    @property
    def id(self) -> object:
        """Chroma's id of it, a UUID."""
        ...

    @property
    def metadata(self) -> Mapping[str, Scalar] | None:
        """The collection's own metadata, as it was when the handle was made."""
        ...

    def takes_sparse(self, key: str) -> bool:
        """Return whether the collection indexes sparse vectors under `key`."""
        ...

    async def modify(self, *, metadata: Mapping[str, Scalar]) -> None:
        """Replace the collection's own metadata."""
        ...

    async def add(
        self,
        *,
        ids: list[str],
        embeddings: list[NDArray[np.float32]],
        metadatas: list[MetadataRecord | None],
        documents: list[str],
    ) -> None:
        """Add rows; ids that are there stay as they are."""
        ...

    async def update(self, *, ids: list[str], metadatas: list[MetadataRecord | None]) -> None:
        """Merge metadata into rows; ids that are not there are ignored."""
        ...

    async def delete(self, *, ids: list[str]) -> object:
        """Delete rows; ids that are not there are ignored."""
        ...

    async def get(
        self,
        *,
        ids: list[str] | None = None,
        where: Mapping[str, object] | None,
        where_document: Mapping[str, object] | None,
        limit: int | None = None,
        offset: int | None = None,
        include: Sequence[str],
    ) -> RowColumns:
        """Return rows by id, or those that pass the filters."""
        ...

    async def query(
        self,
        *,
        query_embeddings: list[list[float]],
        n_results: int,
        where: Mapping[str, object] | None,
        where_document: Mapping[str, object] | None,
        include: Sequence[str],
    ) -> Mapping[str, object]:
        """Return the columns of rows, one of each per query vector."""
        ...

    async def count(self) -> int:
        """Return how many rows there are."""
        ...


class _Handle(AsyncCollection):
    """A collection without its schema, which the package builds anew for every write just to look for an embedding
    function in it; with one recorded that means two HTTP clients and a fifth of a second each time.
    """

    @property
    @override
    def schema(self) -> None:
        """Nothing: we bring our vectors, dense and sparse."""
        return

    def takes_sparse(self, key: str) -> bool:
        """Return whether the collection indexes sparse vectors under `key`."""
        return has_sparse_index(self._model.serialized_schema, key)


def handle_of(api: Api, model: CollectionModel) -> Collection:
    """Return the collection that `model` describes, without any embedding function: we bring our vectors."""
    return cast("Collection", _Handle(client=api, model=model, embedding_function=None))


def with_sparse(record: MetadataRecord | None, key: str, vector: SparseVector) -> MetadataRecord:
    """Return a row's metadata with its sparse vector, which no other type of value is."""
    value = ChromaSparse(indices=vector.indices.tolist(), values=vector.values.tolist())
    return cast("MetadataRecord", {**(record or {}), key: value})
