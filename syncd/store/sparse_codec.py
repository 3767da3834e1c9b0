"""Sparse vectors as bytes, as they are stored and sent."""

from __future__ import annotations

import numpy as np

from syncd.model import SparseVector

PAIR = np.dtype([("term", "<u4"), ("weight", "<f4")])


def packed(vector: SparseVector) -> bytes:
    """Return a vector as stored: (uint32 term, float32 weight) pairs, little-endian, by term; 8 bytes a term."""
    pairs = np.empty(len(vector.indices), PAIR)
    pairs["term"], pairs["weight"] = vector.indices, vector.values
    return pairs.tobytes()


def unpacked(vector: bytes) -> SparseVector:
    """Return a stored vector."""
    pairs = np.frombuffer(vector, PAIR)
    return SparseVector(pairs["term"].astype(np.uint32), pairs["weight"].astype(np.float64))
