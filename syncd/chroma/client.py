"""The Chroma client, the same for our own server, a user's server and Chroma Cloud."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from syncd.chroma.collections import ChromaCollections
from syncd.chroma.refusals import CorruptError
from syncd.chroma.rows import WRITE_ROWS, RowColumns, read_rows, write_batches
from syncd.model import Metadata, Row, RowMetadata, Rows, Target
from syncd.row_checks import MetadataRecord, checked_rows, record_of
from syncd.runtime.retry import in_halves

if TYPE_CHECKING:
    from syncd.chroma.transport import Collection

R = TypeVar("R")

REREAD_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses before a read that found the index files damaged is repeated. Chroma 1.5.9 looks for the vectors of the rows that it has chosen,
and says the same words when one of them was deleted in between: of reads beside a steady writer 1 to 17 in 100 end so. Beside the very first
write it may return rows without their vectors.
"""
_GET_IDS = 1000  # a local server fails at some 32,766 ("too many SQL variables"), Cloud at less


class Chroma(ChromaCollections):
    """Chroma over HTTP: its rows, and what its bases add; see ChromaConnection for its life and availability.

    Every method may wait for the network, at most `timeout_s`, and raises RetryableError if Chroma is unavailable or
    overloaded, NotFoundError if the database or collection does not exist, CollectionCorrupt, and
    TargetRefusedError if Chroma rejects the request. Reads are concurrent; writes are serialised, because concurrent ones slow a local server down.
    """

    def as_stored(self, metadata: RowMetadata) -> Metadata:
        """Return a row's metadata as Chroma would return it. Raises PermanentError if Chroma does not accept it."""
        record = record_of(metadata, self.settings.limits)
        return {key: value for key, value in record.items() if value is not None}

    async def write(self, target: Target, delete_ids: Sequence[str], add: Rows, update_metadata: Rows) -> None:
        """Add, replace, update metadata (merged into what is there), then delete; safe to repeat whole after any failure.

        Waits for its turn. Chroma ignores missing ids to delete or update, and existing ids to add: to change a row's text or
        vector, delete and add it in one call. Deletes come last, and a replaced row stays until Chroma has accepted
        the new one once. Raises PermanentError, before anything is written, if a row exceeds `limits`, TargetRefusedError
        if the server rejects a write. Rows are written in batches; an error may be raised after some of them.
        """
        adds = checked_rows(add, self.settings.limits)
        updates = checked_rows(update_metadata, self.settings.limits, update=True)
        replaced = frozenset(delete_ids) & frozenset(add.ids)
        async with self._writing:
            collection = await self._collection(target)
            _put_sparse(collection, adds, add)
            _put_sparse(collection, updates, update_metadata)
            await self._add(target, collection, add, adds)
            places = [place for place, row_id in enumerate(add.ids) if row_id in replaced]
            # By halves, so that some stay alive: of those added to an index whose nodes are all deleted, some are never found (Refill).
            for half in (places[::2], places[1::2]):
                await self._delete(target, collection, [add.ids[place] for place in half])
                await self._add(target, collection, add.chosen(half), [adds[place] for place in half])
            await self._update(target, collection, update_metadata.ids, updates)
            await self._delete(target, collection, [row_id for row_id in delete_ids if row_id not in replaced])

    async def _add(
        self, target: Target, collection: Collection, add: Rows, metadatas: Sequence[MetadataRecord | None]
    ) -> None:
        async def send(some: slice) -> None:
            adding = collection.add(
                ids=list(add.ids[some]),
                embeddings=list(add.vectors[some]),
                metadatas=list(metadatas[some]),
                documents=list(add.documents[some]),
            )
            await self._call(target, adding, rows="add")

        for some in write_batches(add.documents):
            await in_halves(send, some)

    async def _update(
        self, target: Target, collection: Collection, ids: Sequence[str], metadatas: Sequence[MetadataRecord | None]
    ) -> None:
        async def send(some: slice) -> None:
            update = collection.update(ids=list(ids[some]), metadatas=list(metadatas[some]))
            await self._call(target, update, rows="update")

        for start in range(0, len(ids), WRITE_ROWS):
            await in_halves(send, slice(start, min(start + WRITE_ROWS, len(ids))))

    async def _delete(self, target: Target, collection: Collection, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), WRITE_ROWS):
            await self._call(target, collection.delete(ids=list(ids[start : start + WRITE_ROWS])), rows="delete")

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

        Without `contents`, documents and metadata are not returned.
        """
        collection = await self._collection(target)
        found = await self._call(
            target,
            _read(
                partial(
                    collection.query,
                    query_embeddings=[list(vector)],
                    n_results=limit,
                    where=where,
                    where_document=where_document,
                    include=["distances", *["metadatas", "documents"] * contents],
                )
            ),
            rows="query",
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
        metadatas: bool = True,
        documents: bool = True,
        vectors: bool = False,
    ) -> list[Row]:
        """Return the rows with these `ids`, or all, that pass the filters. Ids that do not exist are omitted."""
        collection = await self._collection(target)
        include = [*["metadatas"] * metadatas, *["documents"] * documents, *["embeddings"] * vectors]
        get = partial(collection.get, where=where, where_document=where_document, include=include)
        sort = "vectors" if vectors else "get"
        if ids is None:
            return await self._call(target, _read(partial(_rows, get)), rows=sort)
        rows: list[Row] = []
        for start in range(0, len(ids), _GET_IDS):
            some = partial(get, ids=list(ids[start : start + _GET_IDS]))
            rows += await self._call(target, _read(partial(_rows, some)), rows=sort)
        return rows

    async def part(self, target: Target, number: int, of: int) -> list[Row]:
        """Return part `number`, from 0, of the rows cut into `of` parts: their ids and metadata."""
        collection, size = await self._collection(target), -(-await self.count(target) // of)
        get = partial(collection.get, where=None, where_document=None, include=["metadatas"])
        some = partial(get, limit=size, offset=number * size)
        return await self._call(target, _read(partial(_rows, some)), rows="get")

    async def count(self, target: Target) -> int:
        """Return how many rows the collection holds."""
        return await self._call(target, (await self._collection(target)).count(), rows="count")


async def _read(read: Callable[[], Awaitable[R]]) -> R:
    """Return what a read answers; one that meets damaged index files is repeated, since a write beside it looks the same."""
    for pause_s in REREAD_PAUSES_S:
        with suppress(CorruptError):
            return await read()
        await anyio.sleep(pause_s)
    return await read()


async def _rows(get: Callable[[], Awaitable[RowColumns]]) -> list[Row]:
    return read_rows(await get())


def _put_sparse(collection: Collection, records: list[MetadataRecord | None], rows: Rows) -> None:
    """Put the sparse vectors of `rows` into their metadata, if the collection indexes them."""
    from syncd.chroma.transport import with_sparse

    if not rows.sparse_key or not collection.takes_sparse(rows.sparse_key):
        return
    for number, vector in enumerate(rows.sparse):
        if vector is not None and len(vector.indices):
            records[number] = with_sparse(records[number], rows.sparse_key, vector)
