"""What syncd requires of a vector store. Chroma and Qdrant do it; any other that does can replace them.

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
"""A filter in Chroma's syntax, as in `where` and `where_document` of the search API."""


class VectorStore(Protocol):
    """Every asynchronous method may wait for the network, and may be called by several tasks at once.

    Each raises RetryableError while the store is unavailable or overloaded; NotFoundError if the database or collection
    does not exist; CollectionCorrupt if the store can no longer read a collection; TargetRefusedError if it rejects a request.
    """

    frees_deleted: bool
    """Whether the space of deleted rows is used again, so that collections do not grow by them."""
    looks_into_lists: bool
    """Whether a list in metadata equals what one of its values equals, to `$eq` and `$in`; else it equals nothing."""

    def status(self) -> str | None:
        """Return why the store is unavailable, as of the last call, or None if it is available."""
        ...

    async def available(self) -> None:
        """Wait until the store is available; returns at once if it is."""
        ...

    async def database_exists(self, name: str) -> bool:
        """Return whether there is a database of that name. A store without databases has each that it could name."""
        ...

    async def create_database(self, name: str) -> None:
        """Create a database of that name if there is none. Twice is safe."""
        ...

    async def open_collection(self, target: Target, shape: CollectionShape = PLAIN_COLLECTION) -> str:
        """Create the collection if needed, with cosine space and `shape`, and return its id. Twice is safe.

        An existing one keeps its shape, but records `shape.queries` as `record_queries` does.
        """
        ...

    async def record_queries(self, target: Target, queries: QueryFunction) -> None:
        """Record in the collection where its queries are embedded. Twice is safe; a store without such records does nothing."""
        ...

    async def collection_id(self, target: Target) -> str | None:
        """Return the id of the collection that currently has the name, uncached; None if there is none."""
        ...

    async def renamed(self, database: str, collection_id: str) -> NamedCollection | None:
        """Return the collection with this id under its current name, or None if it does not exist."""
        ...

    async def rename(self, target: Target, collection_id: str) -> None:
        """Give the collection with this id the name of `target`, which no other one may have. Twice is safe.

        Until `forget` is called, what is asked of a target may still go to the collection that had its name before.
        """
        ...

    def forget(self, target: Target) -> None:
        """Ask anew which collection has the name when it is next used. Does no I/O."""
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
        """Return a row's metadata as the store would return it. Does no I/O. Raises PermanentError if it cannot be stored."""
        ...

    async def write(self, target: Target, delete_ids: Sequence[str], add: Rows, update_metadata: Rows) -> None:
        """Add, replace, update metadata (merged into what is there), then delete; safe to repeat whole after any failure.

        Missing ids to delete or update are ignored, and existing ids to add are not changed: to change a row's text or
        vector, delete and add it in one call. A replaced row is never lost: readers see the old or the new one, or it is
        missing only after the store has accepted the new one once. An error may be raised after part of the work; but a
        PermanentError other than TargetRefusedError, for a row that cannot be stored, is raised before any of it.
        """
        ...

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
        """Return the rows with these `ids`, or all, that pass the filters. Ids that do not exist are omitted."""
        ...

    async def part(self, target: Target, number: int, of: int) -> Sequence[Row]:
        """Return part `number`, from 0, of the rows cut into `of` parts of about the same size: their ids and metadata.

        Every row that `write` wrote is in one part if nothing is written between the calls.
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

        The distance is 1 - cosine similarity. Without `contents`, documents and metadata are not returned.
        """
        ...
