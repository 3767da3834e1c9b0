"""The Qdrant client: rows as points."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any
from uuid import UUID

from qdrant_client import models

from syncd.errors import RetryableError
from syncd.model import Metadata, Row, RowMetadata, Rows, Target
from syncd.qdrant.collections import QdrantCollections
from syncd.qdrant.filters import payload_filter
from syncd.qdrant.names import has_vectors
from syncd.qdrant.points import POINT_LIMITS, WRITE_POINTS, point_batches, point_id, points_of, row_of
from syncd.row_checks import MetadataRecord, checked_rows, record_of
from syncd.runtime.retry import in_halves

_READ_POINTS = 1000
_Filter = Mapping[str, object]


class Qdrant(QdrantCollections):
    """Qdrant over HTTP: its rows, and what its bases add; see QdrantConnection for its availability.

    Every method may wait for the network, at most `timeout_s` a request, and raises RetryableError if Qdrant is unavailable
    or overloaded, NotFoundError if the collection does not exist, and TargetRefusedError if Qdrant rejects the request. Writes
    are serialised, and each is answered when it is applied (`wait`).
    """

    def as_stored(self, metadata: RowMetadata) -> Metadata:
        """Return a row's metadata as it is returned. Raises PermanentError if it cannot be stored."""
        return {key: value for key, value in record_of(metadata, POINT_LIMITS).items() if value is not None}

    async def write(self, target: Target, delete_ids: Sequence[str], add: Rows, update_metadata: Rows) -> None:
        """Add, replace, update metadata (merged into what is there), then delete; safe to repeat whole after any failure.

        Waits for its turn. A row to replace is overwritten, so readers see the old or the new one. Raises PermanentError, before
        anything is written, if a row cannot be stored. Rows are written in batches; an error may be raised after some of them.
        """
        adds = checked_rows(add, POINT_LIMITS)
        updates = checked_rows(update_metadata, POINT_LIMITS, update=True)
        replaced = frozenset(delete_ids) & frozenset(add.ids)
        async with self._writing:
            name = await self._name(target)
            if not has_vectors(name):
                if not add.ids:
                    return
                name = await self._with_vectors(target, name, len(add.vectors[0]))
            await self._add(target, name, add, adds, replaced)
            await self._update(target, name, update_metadata.ids, updates)
            for start in range(0, len(delete_ids), _READ_POINTS):
                gone = [point_id(i) for i in delete_ids[start : start + _READ_POINTS] if i not in replaced]
                if gone:
                    await self._write(target, self._client.delete(name, models.PointIdsList(points=gone)))

    async def _add(
        self,
        target: Target,
        name: str,
        add: Rows,
        records: Sequence[MetadataRecord | None],
        replaced: frozenset[str],
    ) -> None:
        """Write rows: those to replace over what is there, the others only where nothing is."""
        places = {
            models.UpdateMode.UPSERT: [place for place, row_id in enumerate(add.ids) if row_id in replaced],
            models.UpdateMode.INSERT_ONLY: [place for place, row_id in enumerate(add.ids) if row_id not in replaced],
        }
        for mode, chosen in places.items():
            rows, metadata = add.chosen(chosen), [records[place] for place in chosen]
            await self._upsert(target, name, mode, rows, metadata)

    async def _upsert(
        self, target: Target, name: str, mode: models.UpdateMode, rows: Rows, records: Sequence[MetadataRecord | None]
    ) -> None:
        async def send(some: slice) -> None:
            points = points_of(rows, records, some)
            await self._write(target, self._client.upsert(name, points, update_mode=mode))

        for some in point_batches(rows):
            await in_halves(send, some)

    async def _update(
        self, target: Target, name: str, ids: Sequence[str], records: Sequence[MetadataRecord | None]
    ) -> None:
        async def send(some: slice) -> None:
            changes = _changes(ids[some], records[some])
            for done in await self._call(target, self._client.batch_update_points(name, changes)) if changes else ():
                _require_applied(done)

        for start in range(0, len(ids), WRITE_POINTS):
            await in_halves(send, slice(start, min(start + WRITE_POINTS, len(ids))))

    async def _write(self, target: Target, call: Coroutine[Any, Any, models.UpdateResult]) -> None:
        _require_applied(await self._call(target, call))

    async def query(
        self,
        target: Target,
        vector: Sequence[float],
        limit: int,
        where: _Filter | None = None,
        where_document: _Filter | None = None,
        *,
        contents: bool = True,
    ) -> list[Row]:
        """Return the `limit` rows nearest to `vector` that pass the filters, nearest first, with their distances.

        Without `contents`, documents and metadata are not returned.
        """
        wanted = payload_filter(where, where_document)
        name = await self._name(target)
        if not has_vectors(name):
            return []
        asked = self._client.query_points(
            name,
            [float(value) for value in vector],
            query_filter=wanted,
            limit=limit,
            with_payload=_payload(contents, contents),
        )
        return [row_of(point) for point in (await self._call(target, asked)).points]

    async def get(
        self,
        target: Target,
        ids: Sequence[str] | None = None,
        where: _Filter | None = None,
        *,
        where_document: _Filter | None = None,
        metadatas: bool = True,
        documents: bool = True,
        vectors: bool = False,
    ) -> list[Row]:
        """Return the rows with these `ids`, or all, that pass the filters. Ids that do not exist are omitted."""
        wanted = payload_filter(where, where_document)
        name, payload = await self._name(target), _payload(metadatas, documents)
        if ids is None:
            return await self._scrolled(target, name, wanted, payload, vectors=vectors)
        found: dict[str, Row] = {}
        points = [point_id(row_id) for row_id in dict.fromkeys(ids)]
        for start in range(0, len(points), _READ_POINTS):
            some = models.HasIdCondition(has_id=points[start : start + _READ_POINTS])
            only = models.Filter(must=[some, wanted] if wanted else [some])
            for row in await self._scrolled(target, name, only, payload, vectors=vectors):
                found[row.id] = row
        return [found[row_id] for row_id in dict.fromkeys(ids) if row_id in found]

    async def part(self, target: Target, number: int, of: int) -> list[Row]:
        """Return part `number`, from 0, of the rows cut into `of` parts, by their hashed ids: their ids and metadata."""
        first, end = (UUID(int=min(bound * 2**128 // of, 2**128 - 1)) for bound in (number, number + 1))
        name, until = await self._name(target), None if number + 1 == of else str(end)
        return await self._scrolled(target, name, None, _payload(True, False), after=str(first), until=until)

    async def _scrolled(
        self,
        target: Target,
        name: str,
        wanted: models.Filter | None,
        payload: list[str],
        *,
        vectors: bool = False,
        after: str | None = None,
        until: str | None = None,
    ) -> list[Row]:
        """Return all rows that pass, in the order of their points' ids, from `after` to before `until` if those are given."""
        rows: list[Row] = []
        offset: Any = after
        while True:
            page = self._client.scroll(
                name, wanted, limit=_READ_POINTS, offset=offset, with_payload=payload, with_vectors=vectors
            )
            points, offset = await self._call(target, page)
            kept = [point for point in points if until is None or str(point.id) < until]
            rows += [row_of(point) for point in kept]
            if offset is None or len(kept) < len(points):
                return rows

    async def count(self, target: Target) -> int:
        """Return how many rows the collection holds."""
        return (await self._call(target, self._client.count(await self._name(target), exact=True))).count


def _payload(metadatas: bool, documents: bool) -> list[str]:
    return ["id", *["metadata"] * metadatas, *["document"] * documents]


def _changes(ids: Sequence[str], records: Sequence[MetadataRecord | None]) -> list[models.UpdateOperation]:
    """Return what merges metadata into points, by a filter: for a point that is not there an id would be an error.

    A null removes its key (`merge_map` in lib/segment/src/common/utils.rs, Qdrant 1.19).
    """
    return [
        models.SetPayloadOperation(
            set_payload=models.SetPayload(
                payload=dict(record),
                key="metadata",
                filter=models.Filter(must=[models.HasIdCondition(has_id=[point_id(row_id)])]),
            )
        )
        for row_id, record in zip(ids, records, strict=True)
        if record
    ]


def _require_applied(result: models.UpdateResult) -> None:
    """Raise RetryableError unless Qdrant has applied the write: what it only noted may fail, or come later than what follows."""
    if result.status != models.UpdateStatus.COMPLETED:
        raise RetryableError(f"Qdrant has noted a write and not yet applied it ({result.status})")
