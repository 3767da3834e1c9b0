"""What Chroma takes of rows in one write, and how it returns them: by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from syncd.chroma.refusals import CorruptError
from syncd.model import Metadata, Row
from syncd.row_checks import RecordLimits, batches_of

WRITE_ROWS = 300
"""Chroma Cloud's limit; a local server is within 10 % of its best from here on."""
_WRITE_BYTES = 16 << 20  # a local server refuses bodies over 40 MiB; vectors and JSON come on top


LOCAL_LIMITS = RecordLimits(
    id_size_bytes=1024, document_size_bytes=16 << 20, key_size_bytes=1024, value_size_bytes=1 << 20, keys=1000
)
CLOUD_LIMITS = RecordLimits(
    id_size_bytes=128, document_size_bytes=16_384, key_size_bytes=36, value_size_bytes=8_182, keys=32
)
"""Quotas that docs.trychroma.com/cloud/quotas-limits states."""


class RowColumns(TypedDict):
    """Rows as Chroma returns them, by column; columns that were not requested are None or absent."""

    ids: Sequence[str]
    metadatas: NotRequired[Sequence[Metadata | None] | None]
    documents: NotRequired[Sequence[str | None] | None]
    embeddings: NotRequired[Sequence[ArrayLike] | None]
    distances: NotRequired[Sequence[float] | None]


def write_batches(texts: Sequence[str]) -> Iterator[slice]:
    """Yield slices that cover `texts` in order, each within what one write may hold; one text too large goes alone."""
    return batches_of([len(text) for text in texts], WRITE_ROWS, _WRITE_BYTES)


def read_rows(found: RowColumns) -> list[Row]:
    """Return the columns of an answer as rows; columns that were not asked for are None.

    Raises CorruptError if there are fewer vectors than rows: which is whose, nobody can tell.
    """
    nothing = [None] * len(found["ids"])
    metadatas, documents = found.get("metadatas"), found.get("documents")
    vectors, distances = found.get("embeddings"), found.get("distances")
    if vectors is not None and len(vectors) < len(nothing):
        raise CorruptError(f"the index returned {len(vectors)} vectors for {len(nothing)} rows")
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
