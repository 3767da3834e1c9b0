"""The one client of Chroma, the same for our own server, somebody's server and Chroma Cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import anyio
import structlog

from syncd.chroma.connection import ChromaConnection, ChromaSettings
from syncd.chroma.rows import WRITE_ROWS, RowColumns, checked, read_rows, write_batches
from syncd.chroma.shape import is_outdated, part, refuses_sparse
from syncd.chroma.validate import MetadataRecord, record_of
from syncd.errors import ConflictError, NotFoundError, PermanentError
from syncd.model import (
    PLAIN_COLLECTION,
    CollectionShape,
    Metadata,
    NamedCollection,
    QueryFunction,
    Row,
    RowMetadata,
    Rows,
    Scalar,
    Target,
)

if TYPE_CHECKING:
    from syncd.chroma.transport import Collection, CollectionModel

log = structlog.get_logger()

_GET_IDS = 1000  # a local server fails at some 32,766 ("too many SQL variables"), Cloud at less
_LISTED = 100


class Chroma(ChromaConnection):
    """Chroma over HTTP, its databases, collections and rows; see ChromaConnection for its life and availability.

    Every method may wait for the network, at most `timeout_s`, and raises RetryableError when Chroma is away or
    overloaded, NotFoundError when the database or collection does not exist, CollectionCorrupt, and
    TargetRefusedError when Chroma refuses. Reads go side by side; writes one at a time, as a local server gets slower with more.
    """

    def __init__(self, settings: ChromaSettings) -> None:
        super().__init__(settings)
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
            await self._call(target, self._connected().record(target, self.settings.tenant, model.id, queries))

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
        async with self._writing:
            try:
                await self._call(
                    target,
                    self._connected().delete_collection(target.collection, self.settings.tenant, target.database),
                )
            except NotFoundError:
                return

    # --- rows -----------------------------------------------------------------------------------------------------

    def as_stored(self, metadata: RowMetadata) -> Metadata:
        """Return a row's metadata as it comes back once it was added. Raises PermanentError where Chroma takes no such."""
        record = record_of(metadata, self.settings.limits)
        return {key: value for key, value in record.items() if value is not None}

    async def write(self, target: Target, delete_ids: Sequence[str], add: Rows, update_metadata: Rows) -> None:
        """Add, replace, update metadata (merged into what is there), then delete; safe to repeat whole after any failure.

        Waits for its turn. Chroma ignores ids to delete or update that it does not have, and ids to add that it has: to
        change a row's text or vector, delete and add it in one call. What is deleted stays until what is added is in, and
        what is replaced until Chroma has taken the new rows once as they are. Raises PermanentError, before anything is
        written, when a row breaks `limits`, TargetRefusedError when the server refuses. Rows go in write_batches; an error may come
        after some of them.
        """
        adds = checked(add, self.settings.limits)
        updates = checked(update_metadata, self.settings.limits, update=True)
        replaced = frozenset(delete_ids) & frozenset(add.ids)
        async with self._writing:
            collection = await self._collection(target)
            _put_sparse(collection, adds, add)
            _put_sparse(collection, updates, update_metadata)
            await self._add(target, collection, add, adds)
            if replaced:
                places = [place for place, row_id in enumerate(add.ids) if row_id in replaced]
                await self._delete(target, collection, list(replaced))
                await self._add(target, collection, add.chosen(places), [adds[place] for place in places])
            for start in range(0, len(updates), WRITE_ROWS):
                some = slice(start, start + WRITE_ROWS)
                update = collection.update(ids=list(update_metadata.ids[some]), metadatas=updates[some])
                await self._call(target, update)
            await self._delete(target, collection, [row_id for row_id in delete_ids if row_id not in replaced])

    async def _add(
        self, target: Target, collection: Collection, add: Rows, metadatas: Sequence[MetadataRecord | None]
    ) -> None:
        for some in write_batches(add.documents):
            await self._call(
                target,
                collection.add(
                    ids=list(add.ids[some]),
                    embeddings=list(add.vectors[some]),
                    metadatas=list(metadatas[some]),
                    documents=list(add.documents[some]),
                ),
            )

    async def _delete(self, target: Target, collection: Collection, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), WRITE_ROWS):
            await self._call(target, collection.delete(ids=list(ids[start : start + WRITE_ROWS])))

    async def query(
        self,
        target: Target,
        vector: Sequence[float],
        limit: int,
        where: Mapping[str, object] | None = None,
        where_document: Mapping[str, object] | None = None,
        *,
        contents: bool = True,
    ) -> list[Row]:
        """Return the `limit` rows nearest to `vector` that pass the filters, nearest first, with their distances.

        Without `contents`, documents and metadata stay behind.
        """
        collection = await self._collection(target)
        found = await self._call(
            target,
            collection.query(
                query_embeddings=[list(vector)],
                n_results=limit,
                where=where,
                where_document=where_document,
                include=["distances", *["metadatas", "documents"] * contents],
            ),
        )
        return read_rows(
            cast("RowColumns", {key: value[0] for key, value in found.items() if isinstance(value, list) and value})
        )

    async def get(
        self,
        target: Target,
        ids: Sequence[str] | None = None,
        where: Mapping[str, object] | None = None,
        *,
        where_document: Mapping[str, object] | None = None,
        limit: int | None = None,
        offset: int = 0,
        metadatas: bool = True,
        documents: bool = True,
        vectors: bool = False,
    ) -> list[Row]:
        """Return the rows with these `ids`, or those that pass the filters, at most `limit` from `offset` on.

        Ids that do not exist are left out. `limit` and `offset` do not go together with `ids`.
        """
        collection = await self._collection(target)
        include = [*["metadatas"] * metadatas, *["documents"] * documents, *["embeddings"] * vectors]
        get = partial(collection.get, where=where, where_document=where_document, include=include)
        if ids is None:
            return read_rows(await self._call(target, get(limit=limit, offset=offset)))
        rows: list[Row] = []
        for start in range(0, len(ids), _GET_IDS):
            rows += read_rows(await self._call(target, get(ids=list(ids[start : start + _GET_IDS]))))
        return rows

    async def count(self, target: Target) -> int:
        """Return how many rows the collection holds."""
        return await self._call(target, (await self._collection(target)).count())

    async def _fresh(self, target: Target) -> Collection:
        """Return a handle just made from what the server says."""
        from syncd.chroma.transport import handle_of

        api = self._connected()
        model = await self._call(target, api.get_collection(target.collection, self.settings.tenant, target.database))
        self._handles[target] = handle_of(api, model)
        return self._handles[target]

    async def _collection(self, target: Target) -> Collection:
        return self._handles.get(target) or await self._fresh(target)


def _put_sparse(collection: Collection, records: list[MetadataRecord | None], rows: Rows) -> None:
    """Put the sparse vectors of `rows` into their metadata, where the collection indexes them."""
    from syncd.chroma.transport import with_sparse

    if not rows.sparse_key or not collection.takes_sparse(rows.sparse_key):
        return
    for number, vector in enumerate(rows.sparse):
        if vector is not None and len(vector.indices):
            records[number] = with_sparse(records[number], rows.sparse_key, vector)
