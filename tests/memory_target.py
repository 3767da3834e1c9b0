"""A vector store that is a dictionary: what `syncd/index/target.py` asks for, and nothing of Chroma."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import numpy as np

from syncd.errors import NotFoundError, PermanentError
from syncd.index.target import Filter
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

OPERATORS: Mapping[str, Callable[[object, object], bool]] = {
    "$eq": lambda value, wanted: value == wanted,
    "$ne": lambda value, wanted: value != wanted,
    "$gt": lambda value, wanted: value is not None and value > wanted,
    "$gte": lambda value, wanted: value is not None and value >= wanted,
    "$lt": lambda value, wanted: value is not None and value < wanted,
    "$lte": lambda value, wanted: value is not None and value <= wanted,
    "$in": lambda value, wanted: value in wanted,
    "$nin": lambda value, wanted: value not in wanted,
    "$contains": lambda value, wanted: value is not None and wanted in value,
    "$not_contains": lambda value, wanted: value is None or wanted not in value,
    "$regex": lambda value, wanted: value is not None and re.search(wanted, value) is not None,
    "$not_regex": lambda value, wanted: value is None or re.search(wanted, value) is None,
}


@dataclass
class Collection:
    """What one collection holds; rows in the order in which they came."""

    shape: CollectionShape
    id: str = field(default_factory=lambda: str(uuid4()))
    metadata: dict[str, Scalar] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)


class MemoryTarget:
    """Gone with the process. It always answers and refuses no row that has a text, a vector and metadata of scalars."""

    frees_deleted: bool = True
    looks_into_lists: bool = False

    def __init__(self, *databases: str) -> None:
        self.databases: dict[str, dict[str, Collection]] = {name: {} for name in databases or ("default_database",)}

    def status(self) -> str | None:
        return None

    async def available(self) -> None:
        return

    # --- databases and collections

    async def database_exists(self, name: str) -> bool:
        return name in self.databases

    async def create_database(self, name: str) -> None:
        self.databases.setdefault(name, {})

    async def open_collection(self, target: Target, shape: CollectionShape = PLAIN_COLLECTION) -> str:
        collection = self._database(target.database).setdefault(target.collection, Collection(shape))
        if shape.queries is not None:
            await self.record_queries(target, shape.queries)
        return collection.id

    async def record_queries(self, target: Target, queries: QueryFunction) -> None:
        collection = self._collection(target)
        collection.shape = replace(collection.shape, queries=queries)

    async def collection_id(self, target: Target) -> str | None:
        collection = self.databases.get(target.database, {}).get(target.collection)
        return collection.id if collection else None

    async def renamed(self, database: str, collection_id: str) -> NamedCollection | None:
        for name, collection in self._database(database).items():
            if collection.id == collection_id:
                return NamedCollection(name, dict(collection.metadata))
        return None

    async def rename(self, target: Target, collection_id: str) -> None:
        collections = self._database(target.database)
        name = next((name for name, one in collections.items() if one.id == collection_id), None)
        if name is None:
            raise NotFoundError(f"no collection has the id {collection_id}")
        if name != target.collection:
            assert target.collection not in collections
            collections[target.collection] = collections.pop(name)

    def forget(self, target: Target) -> None:
        return

    async def metadata(self, target: Target) -> Mapping[str, Scalar]:
        return dict(self._collection(target).metadata)

    async def set_metadata(self, target: Target, changes: Mapping[str, Scalar]) -> None:
        self._collection(target).metadata.update(changes)

    async def delete_collection(self, target: Target) -> None:
        self._database(target.database).pop(target.collection, None)

    def _database(self, name: str) -> dict[str, Collection]:
        if name not in self.databases:
            raise NotFoundError(f"database {name!r} does not exist")
        return self.databases[name]

    def _collection(self, target: Target) -> Collection:
        collection = self._database(target.database).get(target.collection)
        if collection is None:
            raise NotFoundError(f"collection {target.collection!r} does not exist")
        return collection

    # --- rows

    def as_stored(self, metadata: RowMetadata) -> Metadata:
        for key, value in metadata.items():
            scalars = value if isinstance(value, list | tuple) else [value]
            if not all(scalar is None or isinstance(scalar, Scalar) for scalar in scalars):
                raise PermanentError(f"metadata {key!r} is no scalar and no list of scalars")
        return {key: value for key, value in metadata.items() if value is not None and value != []}

    async def write(self, target: Target, delete_ids: Sequence[str], add: Rows, update_metadata: Rows) -> None:
        added = [
            Row(row_id, self.as_stored(metadata), document, unit(vector))
            for row_id, metadata, document, vector in zip(
                add.ids, add.metadatas, add.documents, add.vectors, strict=True
            )
        ]
        updated = dict(zip(update_metadata.ids, update_metadata.metadatas, strict=True))
        for metadata in updated.values():
            self.as_stored(metadata)
        rows = self._collection(target).rows
        for row_id in delete_ids:
            rows.pop(row_id, None)
        for row in added:
            rows.setdefault(row.id, row)
        for row_id, changes in updated.items():
            if row_id in rows:
                rows[row_id] = replace(rows[row_id], metadata=self.as_stored({**rows[row_id].metadata, **changes}))

    async def get(
        self,
        target: Target,
        ids: Sequence[str] | None = None,
        where: Filter | None = None,
        *,
        where_document: Filter | None = None,
        metadatas: bool = True,
        documents: bool = True,
        vectors: bool = False,
    ) -> Sequence[Row]:
        rows = self._collection(target).rows
        found = (
            list(rows.values()) if ids is None else [rows[row_id] for row_id in dict.fromkeys(ids) if row_id in rows]
        )
        found = [row for row in found if passes(row, where, where_document)]
        return [shown(row, metadatas, documents, vectors) for row in found]

    async def part(self, target: Target, number: int, of: int) -> Sequence[Row]:
        return [shown(row, True, False, False) for row in list(self._collection(target).rows.values())[number::of]]

    async def count(self, target: Target) -> int:
        return len(self._collection(target).rows)

    async def query(
        self,
        target: Target,
        vector: Sequence[float],
        limit: int,
        where: Filter | None = None,
        where_document: Filter | None = None,
        *,
        contents: bool = True,
    ) -> Sequence[Row]:
        wanted = unit(vector)
        found = [
            replace(shown(row, contents, contents, False), distance=float(1 - np.dot(row.vector, wanted)))
            for row in self._collection(target).rows.values()
            if passes(row, where, where_document)
        ]
        return sorted(found, key=lambda row: row.distance)[:limit]


def unit(vector: Sequence[float]) -> np.ndarray:
    values = np.asarray(vector, np.float32)
    return values / np.linalg.norm(values)


def shown(row: Row, metadatas: bool, documents: bool, vectors: bool) -> Row:
    return Row(
        row.id, row.metadata if metadatas else {}, row.document if documents else None, row.vector if vectors else None
    )


def passes(row: Row, where: Filter | None, where_document: Filter | None) -> bool:
    return (not where or holds(where, row.metadata)) and (not where_document or says(where_document, row.document))


def holds(where: Filter, metadata: Metadata) -> bool:
    ((key, wanted),) = where.items()
    if key in ("$and", "$or"):
        return {"$and": all, "$or": any}[key](holds(some, metadata) for some in wanted)
    return compared(metadata.get(key), wanted if isinstance(wanted, Mapping) else {"$eq": wanted})


def says(where: Filter, document: str | None) -> bool:
    ((key, wanted),) = where.items()
    if key in ("$and", "$or"):
        return {"$and": all, "$or": any}[key](says(some, document) for some in wanted)
    return compared(document, where)


def compared(value: object, condition: Mapping[str, object]) -> bool:
    ((operator, wanted),) = condition.items()
    if operator not in OPERATORS:
        raise PermanentError(f"{operator!r} is no operator of a filter")
    return OPERATORS[operator](value, wanted)
