"""The plainest values: what metadata holds, what vectors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar | Sequence[Scalar]]
Vectors: TypeAlias = "NDArray[np.float32]"
"""Shape (texts, dimensions), rows L2-normalised. A name only: what handles no vectors need not load numpy, a fifth of a second."""

_POSITIONS = ("start_byte", "end_byte", "start_line", "end_line")
LINEAGE_KEYS = frozenset(
    ("source_id", "source_type", "key", "version", "chunk_index", "chunk_count", "stage", *_POSITIONS)
)
"""Metadata that syncd puts on every chunk and goes by; nobody else can set it."""


def cut_to(vectors: Vectors, dimensions: int | None) -> Vectors:
    """Return a vector, or rows of vectors, cut to the leading `dimensions` and normalised again; None: as they are."""
    if dimensions is None:
        return vectors
    import numpy as np

    cut = vectors[..., :dimensions]
    lengths = np.linalg.norm(cut, axis=-1, keepdims=True)
    return (cut / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
