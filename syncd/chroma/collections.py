"""Databases and collections of Chroma."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import anyio
import structlog

from syncd.chroma.connection import ChromaConnection, ChromaSettings
from syncd.chroma.shape import function_of, is_outdated, part, refuses_sparse
from syncd.errors import ConflictError, NotFoundError, PermanentError
from syncd.model import PLAIN_COLLECTION, CollectionShape, NamedCollection, QueryFunction, Scalar, Target

if TYPE_CHECKING:
    from syncd.chroma.transport import Collection, CollectionModel

log = structlog.get_logger()

_LISTED = 100


class ChromaCollections(ChromaConnection):
    """What can be asked of databases and collections as wholes; what its methods raise, see Chroma."""

    looks_into_lists: bool = False
    """In lists `$contains` looks (chromadb 1.5.9)."""

    def __init__(self, settings: ChromaSettings, suspect: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(settings, suspect)
        self.frees_deleted = settings.frees_deleted
        self._writing = anyio.Semaphore(1)
        self.makes_sparse: bool | None = None
        """Whether the server makes sparse indexes; None until it was asked for one."""

    # --- databases ------------------------------------------------------------------------------------------------

    async def database_exists(self, name: str) -> bool:
        """Return whether the tenant has a database of that name."""
        try:
            await self._call(f"database {name}", self._connected().get_database(name, self.settings.tenant))
        except NotFoundError:
            return False
        return True

    async def create_database(self, name: str) -> None:
        """Make sure that the tenant has a database of that name. Twice is safe."""
        try:
            await self._call(f"database {name}", self._connected().create_database(name, self.settings.tenant))
        except ConflictError:
            return

    # --- collections ----------------------------------------------------------------------------------------------

    async def open_collection(self, target: Target, shape: CollectionShape = PLAIN_COLLECTION) -> str:
        """Make sure that the collection exists and return Chroma's id of it; a new one has `shape`. Twice is safe.

        One that is there keeps its schema; its recorded function follows `shape.queries`, see `record_queries`. Raises
        NotFoundError when the database does not exist.
        """
        from syncd.chroma.transport import handle_of

        async with self._writing:
            model = await self._opened(target, shape)
            self._handles[target] = handle_of(self._connected(), model)
            await self._record(target, model, shape.queries)
        return str(model.id)

    async def record_queries(self, target: Target, queries: QueryFunction) -> None:
        """Let a collection that exists record `queries` as its embedding function. Twice is safe, and then costs a read.

        A function of its owner's choice stays: only none, Chroma's default and ours at another address are replaced.
        """
        api = self._connected()
        async with self._writing:
            model = await self._call(
                target, api.get_collection(target.collection, self.settings.tenant, target.database)
            )
            await self._record(target, model, queries)

    async def _record(self, target: Target, model: CollectionModel, queries: QueryFunction | None) -> None:
        recorded = part(model.configuration_json, "embedding_function")
        if queries is not None and is_outdated(recorded, queries, target):
            changes = {"hnsw": None, "spann": None, "embedding_function": function_of(queries)}
            await self._change(
                target, str(model.id), {"new_metadata": None, "new_name": None, "new_configuration": changes}
            )

    async def _opened(self, target: Target, shape: CollectionShape) -> CollectionModel:
        """Return the collection, with the sparse index it is to have where the server makes any."""
        api, tenant = self._connected(), self.settings.tenant
        if shape.sparse is not None and self.makes_sparse is not False:
            try:
                model = await self._call(target, api.open(target, tenant, shape, shape.sparse))
            except PermanentError as error:
                if not refuses_sparse(str(error)):
                    raise
                self.makes_sparse = False
                log.info("chroma.no_sparse", reason=str(error))
            else:
                self.makes_sparse = True
                return model
        return await self._call(target, api.open(target, tenant, shape))

    async def collection_id(self, target: Target) -> str | None:
        """Return Chroma's id of the collection, or None when it does not exist."""
        try:
            return str((await self._fresh(target)).id)
        except NotFoundError:
            return None

    async def renamed(self, database: str, collection_id: str) -> NamedCollection | None:
        """Return the collection with this id under the name it has now, or None when it does not exist."""
        api, offset = self._connected(), 0
        while True:
            listed = api.list_collections(_LISTED, offset, self.settings.tenant, database)
            page = await self._call(f"database {database}", listed)
            for model in page:
                if str(model.id) == collection_id:
                    return NamedCollection(model.name, dict(model.metadata or {}))
            if len(page) < _LISTED:
                return None
            offset += len(page)

    async def rename(self, target: Target, collection_id: str) -> None:
        """Give the collection with this id the name of `target`, which no other one may have. Twice is safe."""
        async with self._writing:
            await self._change(target, collection_id, {"new_name": target.collection})

    async def _change(self, target: Target, collection_id: str, changes: Mapping[str, object]) -> None:
        await self._call(target, self._connected().change(target, self.settings.tenant, collection_id, changes))

    def forget(self, target: Target) -> None:
        """Ask anew which collection has the name when it is next used: until then its handle, by id, is used."""
        self._handles.pop(target, None)
        self._deaths.forget(target)

    async def metadata(self, target: Target) -> Mapping[str, Scalar]:
        """Return the collection's own metadata."""
        return dict((await self._fresh(target)).metadata or {})

    async def set_metadata(self, target: Target, changes: Mapping[str, Scalar]) -> None:
        """Merge `changes` into the collection's own metadata. Twice is safe; two at once on one collection are not."""
        async with self._writing:
            collection = await self._fresh(target)
            await self._call(target, collection.modify(metadata={**(collection.metadata or {}), **changes}))

    async def delete_collection(self, target: Target) -> None:
        """Delete the collection and everything in it. Twice is safe."""
        self._handles.pop(target, None)
        self._deaths.forget(target)
        async with self._writing:
            try:
                await self._call(
                    target,
                    self._connected().delete_collection(target.collection, self.settings.tenant, target.database),
                )
            except NotFoundError:
                return

    async def _fresh(self, target: Target) -> Collection:
        """Return a handle just made from what the server says."""
        from syncd.chroma.transport import handle_of

        api = self._connected()
        model = await self._call(target, api.get_collection(target.collection, self.settings.tenant, target.database))
        self._handles[target] = handle_of(api, model)
        return self._handles[target]

    async def _collection(self, target: Target) -> Collection:
        return self._handles.get(target) or await self._fresh(target)
