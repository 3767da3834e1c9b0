"""BM25's term weights with fixed statistics, so that a text's vector never depends on any other text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from syncd.model import SparseVector

K = 1.2
B = 0.75
AVERAGE_LENGTH = 256.0
"""The values of chromadb's `ChromaBm25EmbeddingFunction` (1.5.9). How rare a term is counts when a query is answered."""


def weigh(counted: Sequence[int], beside: Sequence[int] = ()) -> SparseVector:
    """Return the vector of a text with these term hashes: each term once, in ascending order, with its saturated count.

    Terms `beside` do not make the text longer.
    """
    length = float(len(counted))
    counts = sorted(Counter([*counted, *beside] if beside else counted).items())
    values = [count * (K + 1) / (count + K * (1 - B + (B * length) / AVERAGE_LENGTH)) for _, count in counts]
    return SparseVector(np.array([term for term, _ in counts], np.uint32), np.array(values, np.float64))
