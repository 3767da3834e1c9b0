"""What goes to Chroma and comes back, and where Chroma is: plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncd.chroma.validate import CLOUD, LOCAL, Limits, Record, Value, check_document, check_id, check_metadata
from syncd.errors import PermanentError
from syncd.model import Metadata, SparseVector, Vectors

WRITE_ROWS = 300
"""Chroma Cloud's limit; a local server is within 10 % of its best from here on."""
_WRITE_BYTES = 16 << 20  # a local server refuses bodies over 40 MiB; vectors and JSON come on top


class CollectionCorrupt(PermanentError):
    """Chroma cannot read the collection's index files; nothing of ours is lost: `syncd rebuild COLLECTION` mends it."""


class RefusedError(PermanentError):
    """The server says that a request is wrong; or it, or what stands before it, refuses everything for a while."""


@dataclass(frozen=True, slots=True)
class ChromaSettings:
    """Where Chroma is. Every call but `heartbeat` may take `timeout_s`; `limits` are what one record may hold."""

    host: str = "127.0.0.1"
    port: int = 8000
    ssl: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    tenant: str = "default_tenant"
    timeout_s: float = 120.0
    limits: Limits = LOCAL

    @classmethod
    def cloud(cls, tenant: str, api_key: str, host: str = "api.trychroma.com") -> ChromaSettings:
        """Return the settings for Chroma Cloud, with its quotas as limits."""
        return cls(host, 443, ssl=True, headers={"x-chroma-token": api_key}, tenant=tenant, limits=CLOUD)


@dataclass(frozen=True, slots=True)
class Rows:
    """What to write, one entry per row. In an update, a metadata value of None removes the key.

    `sparse` vectors (None: it has none) go under `sparse_key` where the collection indexes them there, else nowhere.
    """

    ids: Sequence[str]
    metadatas: Sequence[Mapping[str, Value]]
    documents: Sequence[str] = ()
    vectors: Vectors | Sequence[NDArray[np.float32]] = ()
    sparse: Sequence[SparseVector | None] = ()
    sparse_key: str = ""

    def chosen(self, places: Sequence[int]) -> Rows:
        """Return the rows at these places, without their sparse vectors."""
        return Rows(
            [self.ids[place] for place in places],
            [self.metadatas[place] for place in places],
            [self.documents[place] for place in places],
            [self.vectors[place] for place in places],
        )


NOTHING = Rows((), ())


@dataclass(frozen=True, slots=True)
class Row:
    """What was read. `distance` is set by `query`; `document` and `vector` where they were asked for.

    Chroma normalises vectors of a cosine space again: they come back within one unit in the last place.
    """

    id: str
    metadata: Metadata
    document: str | None = None
    vector: NDArray[np.float32] | None = None
    distance: float | None = None


def checked(rows: Rows, limits: Limits, *, update: bool = False) -> list[Record | None]:
    """Return the metadata of `rows` as Chroma takes it; None where nothing is left. Raises PermanentError, naming the row."""
    records: list[Record | None] = []
    if rows.sparse_key:
        limits = replace(limits, keys=limits.keys - 1)
    for row_id, metadata in zip(rows.ids, rows.metadatas, strict=True):
        check_id(row_id, limits)
        try:
            records.append(check_metadata(metadata, limits, keep_none=update) or None)
        except PermanentError as error:
            raise PermanentError(f"chunk {row_id}: {error}") from error
    if not update:
        for row_id, text in zip(rows.ids, rows.documents, strict=True):
            check_document(row_id, text, limits)
    return records


def batches(texts: Sequence[str]) -> Iterator[slice]:
    """Yield slices that cover `texts` in order, each within what one write may hold; one text too large goes alone."""
    start = size = 0
    for number, text in enumerate(texts):
        if number - start == WRITE_ROWS or (number > start and size + len(text) > _WRITE_BYTES):
            yield slice(start, number)
            start, size = number, 0
        size += len(text)
    if start < len(texts):
        yield slice(start, len(texts))


def read_rows(found: Mapping[str, Any]) -> list[Row]:
    """Return the columns of an answer as rows; columns that were not asked for are None."""

    def column(name: str) -> Sequence[Any]:
        values = found.get(name)
        return [None] * len(found["ids"]) if values is None else values

    columns = (column(name) for name in ("metadatas", "documents", "embeddings", "distances"))
    return [
        Row(row_id, metadata or {}, document, None if vector is None else np.asarray(vector, np.float32), distance)
        for row_id, metadata, document, vector, distance in zip(found["ids"], *columns, strict=True)
    ]
