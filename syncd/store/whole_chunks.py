"""A chunk with everything that the vector store is to have of it, as it stands in SQLite, and whether that is what was stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from syncd.model import SparseVector, cut_to
from syncd.store.checksums import is_sound, is_sound_blob
from syncd.store.sparse_codec import unpacked

CONTENT = "c.text, c.context, c.vector_key, c.metadata, c.checksum, c.lineage_checksum, v.vector, v.checksum, p.vector, p.checksum"
"""The columns of a StoredChunk, in SQL."""
SELECT_ROWS = (
    f"SELECT d.prefix || '-' || c.number, {CONTENT} FROM documents d CROSS JOIN chunks c ON c.document_id = d.id "
    "LEFT JOIN vectors v ON v.key = c.vector_key "
    "LEFT JOIN postings p ON p.document_id = c.document_id AND p.number = c.number "
)
"""Documents come before their chunks, in whichever order the caller's condition finds them."""


class StoredChunk(NamedTuple):
    """What SQLite has of a chunk. Without `vector` its key is damaged, or the vector's row is lost."""

    text: str
    context: str
    vector_key: bytes
    metadata: str
    checksum: int | None
    lineage_checksum: int | None
    vector: bytes | None
    vector_checksum: int | None
    posting: bytes | None
    posting_checksum: int | None

    @property
    def is_sound(self) -> bool:
        """Whether all of it is what was stored."""
        return (
            self.vector is not None
            and is_sound(*self[:6])
            and is_sound_blob(self.vector, self.vector_checksum)
            and is_sound_blob(self.posting or b"", self.posting_checksum)
        )


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk as the vector store should have it, the vector as short as its collection holds them."""

    id: str
    text: str
    metadata: dict[str, Any]
    vector: NDArray[np.float32]
    sparse: SparseVector | None = None
    is_sound: bool = True
    """Whether it is what was stored; otherwise it has nothing but its id."""


def chunk_row(dimensions: int | None, chunk_id: str, stored: StoredChunk) -> ChunkRow:
    """Return the ChunkRow in stored columns, its vector shortened to `dimensions`."""
    if stored.vector is None or not stored.is_sound:
        return ChunkRow(chunk_id, "", {}, np.empty(0, np.float32), is_sound=False)
    sparse = None if stored.posting is None else unpacked(stored.posting)
    held = cut_to(np.frombuffer(stored.vector, dtype="<f4"), dimensions)
    return ChunkRow(chunk_id, stored.text, json.loads(stored.metadata), held, sparse)
