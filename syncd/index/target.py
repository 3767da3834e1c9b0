"""What syncd asks of a vector store. Chroma is the one there is; what else can do this can stand in its place.

A collection is a name in a database, with an id that another collection of that name does not have. It holds rows (an id,
a text, a unit vector, metadata) and metadata of its own, and finds rows by cosine distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

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

Filter = Mapping[str, object]
"""A filter as people write it: `where` and `where_document` of the published search, which are Chroma's."""


class VectorStore(Protocol):
    """Every method that is asynchronous may wait for the network and be called by several tasks at once.

    Each raises RetryableError while the store is away or overloaded; NotFoundError when the database or collection does
    not exist; CollectionCorrupt when the store cannot read a collection any more; TargetRefusedError when it refuses.
    """

    def status(self) -> str | None:
        """Return why the store is away, by the last call made, or None while it answers."""
        ...

    async def available(self) -> None:
        """Wait until the store answers; returns at once while it does."""
        ...

    async def database_exists(self, name: str) -> bool:
        """Return whether there is a database of that name."""
        ...

    async def create_database(self, name: str) -> None:
        """Make sure that there is a database of that name. Twice is safe."""
        ...

    async def open_collection(self, target: Target, shape: CollectionShape = PLAIN_COLLECTION) -> str:
        """Make sure that the collection exists and return its id; a new one has cosine space and `shape`. Twice is safe.

        One that is there keeps what it was made with, but records `shape.queries` as `record_queries` does.
        """
        ...

    async def record_queries(self, target: Target, queries: QueryFunction) -> None:
        """Let the collection say where its queries are embedded. Twice is safe; a store that cannot say so does nothing."""
        ...

    async def collection_id(self, target: Target) -> str | None:
        """Return the id of the collection that has the name now, asked of the store; None when there is none."""
        ...

    async def renamed(self, database: str, collection_id: str) -> NamedCollection | None:
        """Return the collection with this id under the name it has now, or None when it does not exist."""
        ...

    async def metadata(self, target: Target) -> Mapping[str, Scalar]:
        """Return the collection's own metadata."""
        ...

    async def set_metadata(self, target: Target, changes: Mapping[str, Scalar]) -> None:
        """Merge `changes` into the collection's own metadata. Twice is safe."""
        ...

    async def delete_collection(self, target: Target) -> None:
        """Delete the collection and everything in it. Twice is safe."""
        ...

    def as_stored(self, metadata: RowMetadata) -> Metadata:
        """Return a row's metadata as it comes back once it was added. Asks nobody. Raises PermanentError where it cannot be."""
        ...

    async def write(self, target: Target, delete_ids: Sequence[str], add: Rows, update_metadata: Rows) -> None:
        """Add, replace, update metadata (merged into what is there), then delete; safe to repeat whole after any failure.

        Ids to delete or update that are not there are ignored, and ids to add that are there stay as they are: to change
        a row's text or vector, delete and add it in one call. What is replaced never vanishes: it is old or new, or it is
        gone only after the store has taken the new row once. An error may come after some of it was done; PermanentError
        that is no TargetRefusedError, for a row that cannot be stored, comes before anything is.
        """
        ...

    async def get(
        self,
        target: Target,
        ids: Sequence[str] | None = None,
        where: Filter | None = None,
        *,
        where_document: Filter | None = None,
        limit: int | None = None,
        offset: int = 0,
        metadatas: bool = True,
        documents: bool = True,
        vectors: bool = False,
    ) -> Sequence[Row]:
        """Return the rows with these `ids`, or those that pass the filters, at most `limit` from `offset` on.

        Ids that do not exist are left out. Paging without `ids` yields every row once while nothing is written. `limit` and
        `offset` do not go together with `ids`.
        """
        ...

    async def count(self, target: Target) -> int:
        """Return how many rows the collection holds."""
        ...

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
        """Return the `limit` rows nearest to `vector` that pass the filters, nearest first, with their distances.

        The distance is 1 - cosine similarity. Without `contents`, documents and metadata stay behind.
        """
        ...
