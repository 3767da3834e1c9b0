"""Rows as points of Qdrant, and back. Pure.

A point has the payload `id`, `document` and `metadata`. Qdrant takes whole numbers and UUIDs as ids: a row's id that is one stays
itself, any other is hashed, always to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import UUID, uuid5

import numpy as np
from qdrant_client import models

from syncd.json_types import is_object
from syncd.model import Metadata, Row, Rows
from syncd.row_checks import MetadataRecord, RecordLimits, batches_of

POINT_IDS = UUID("3f9c3a4e-52c1-5b0e-9a1d-7f5f0a6f2c11")
"""The namespace of hashed ids. Another one would write every row a second time."""
WRITE_POINTS = 100
_WRITE_BYTES = 8 << 20  # Qdrant refuses bodies over 32 MiB (max_request_size_mb); metadata and JSON come on top
_BYTES_PER_DIMENSION = 22  # in JSON, with all the digits of a double
POINT_LIMITS = RecordLimits(
    id_size_bytes=1024, document_size_bytes=16 << 20, key_size_bytes=1024, value_size_bytes=1 << 20, keys=1000
)
"""Those of a Chroma server: one row is well within a request."""


def point_id(row_id: str) -> models.ExtendedPointId:
    """Return the id of the row's point."""
    if row_id.isascii() and row_id.isdecimal() and str(int(row_id[:20])) == row_id and int(row_id) < 2**64:
        return int(row_id)
    try:
        if str(UUID(row_id)) == row_id:
            return row_id
    except ValueError:
        pass
    return str(uuid5(POINT_IDS, row_id))


def points_of(rows: Rows, records: Sequence[MetadataRecord | None], some: slice) -> list[models.PointStruct]:
    """Return some of the rows as points; `records` are their metadata, checked."""
    return [
        models.PointStruct(
            id=point_id(row_id),
            vector=[float(value) for value in vector],
            payload={"id": row_id, "document": document, "metadata": metadata or {}},
        )
        for row_id, document, vector, metadata in zip(
            rows.ids[some], rows.documents[some], rows.vectors[some], records[some], strict=True
        )
    ]


def point_batches(rows: Rows) -> list[slice]:
    """Return slices that cover the rows in order, each within what one write may hold."""
    sizes = [
        len(text) + len(vector) * _BYTES_PER_DIMENSION
        for text, vector in zip(rows.documents, rows.vectors, strict=True)
    ]
    return list(batches_of(sizes, WRITE_POINTS, _WRITE_BYTES))


def row_of(point: models.Record | models.ScoredPoint) -> Row:
    """Return a point as a row: what was not asked for is left out, and one that is not ours has its own id."""
    payload = point.payload or {}
    metadata, document, vector = payload.get("metadata"), payload.get("document"), point.vector
    return Row(
        str(payload.get("id", point.id)),
        cast("Metadata", metadata) if is_object(metadata) else {},
        document if isinstance(document, str) else None,
        np.asarray(vector, np.float32) if isinstance(vector, list) else None,
        1.0 - point.score if isinstance(point, models.ScoredPoint) else None,
    )
