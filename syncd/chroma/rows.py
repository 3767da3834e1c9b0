"""Converts rows to Chroma's columns and back, checked and in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from syncd.chroma.validate import MetadataRecord, RecordLimits, check_document, check_id, record_of
from syncd.errors import PermanentError
from syncd.model import Metadata, Row, Rows

WRITE_ROWS = 300
"""Chroma Cloud's limit; a local server is within 10 % of its best from here on."""
_WRITE_BYTES = 16 << 20  # a local server refuses bodies over 40 MiB; vectors and JSON come on top


class RowColumns(TypedDict):
    """Rows as Chroma returns them, by column; columns that were not requested are None or absent."""

    ids: Sequence[str]
    metadatas: NotRequired[Sequence[Metadata | None] | None]
    documents: NotRequired[Sequence[str | None] | None]
    embeddings: NotRequired[Sequence[ArrayLike] | None]
    distances: NotRequired[Sequence[float] | None]


def checked_rows(rows: Rows, limits: RecordLimits, *, update: bool = False) -> list[MetadataRecord | None]:
    """Return the metadata of `rows` as Chroma accepts it; None if nothing is left. Raises PermanentError, naming the row."""
    records: list[MetadataRecord | None] = []
    if rows.sparse_key:
        limits = replace(limits, keys=limits.keys - 1)
    for row_id, metadata in zip(rows.ids, rows.metadatas, strict=True):
        check_id(row_id, limits)
        try:
            records.append(record_of(metadata, limits, keep_none=update) or None)
        except PermanentError as error:
            raise PermanentError(f"chunk {row_id}: {error}") from error
    if not update:
        for row_id, text in zip(rows.ids, rows.documents, strict=True):
            check_document(row_id, text, limits)
    return records


def write_batches(texts: Sequence[str]) -> Iterator[slice]:
    """Yield slices that cover `texts` in order, each within what one write may hold; one text too large goes alone."""
    start = size = 0
    for number, text in enumerate(texts):
        if number - start == WRITE_ROWS or (number > start and size + len(text) > _WRITE_BYTES):
            yield slice(start, number)
            start, size = number, 0
        size += len(text)
    if start < len(texts):
        yield slice(start, len(texts))


def read_rows(found: RowColumns) -> list[Row]:
    """Return the columns of an answer as rows; columns that were not asked for are None."""
    nothing = [None] * len(found["ids"])
    metadatas, documents = found.get("metadatas"), found.get("documents")
    vectors, distances = found.get("embeddings"), found.get("distances")
    return [
        Row(row_id, metadata or {}, document, None if vector is None else np.asarray(vector, np.float32), distance)
        for row_id, metadata, document, vector, distance in zip(
            found["ids"],
            nothing if metadatas is None else metadatas,
            nothing if documents is None else documents,
            nothing if vectors is None else vectors,
            nothing if distances is None else distances,
            strict=True,
        )
    ]
