"""The plainest values: what metadata holds, what vectors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar | Sequence[Scalar]]
Vectors = NDArray[np.float32]
"""Shape (texts, dimensions), rows L2-normalised."""
