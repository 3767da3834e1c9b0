"""Pure arithmetic of embedding: how texts become windows of tokens, windows become batches, vectors become one.

The rule for texts longer than the model's limit: the text is cut into consecutive windows, none left out and none
overlapping, each embedded on its own; the text's vector is the mean of the windows' unit vectors, each weighted by
its number of text tokens, scaled back to length 1. A text within the limit is one window and is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncd.model import Vectors

TokenIds = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens a model wants around every window."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


def cut(tokens: TokenIds, frame: SpecialTokens, max_tokens: int) -> list[TokenIds]:
    """Return `tokens` as framed windows of at most `max_tokens` each; an empty text is one window of its frame.

    `max_tokens` counts the frame and must exceed it.
    """
    room = max_tokens - len(frame)
    if room < 1:
        raise ValueError(f"max_tokens {max_tokens} leaves no room beside {len(frame)} special tokens")
    starts = range(0, max(len(tokens), 1), room)
    return [
        np.concatenate([frame.before, tokens[start : start + room], frame.after]).astype(np.int32) for start in starts
    ]


def merge(vectors: Vectors, weights: Sequence[int]) -> NDArray[np.float32]:
    """Return the unit vector of one text from its windows' unit `vectors`, weighted by their token counts."""
    if len(vectors) == 1:
        return vectors[0]
    return unit_rows(np.average(vectors, axis=0, weights=weights)[np.newaxis, :].astype(np.float32))[0]


def unit_rows(vectors: Vectors) -> Vectors:
    """Return `vectors` with rows of length 1; a row that is zero or not finite becomes NaN throughout."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    lengths[~np.isfinite(lengths) | (lengths == 0)] = np.nan
    return (vectors / lengths).astype(np.float32)


def batches_by_length(lengths: Sequence[int], max_tokens: int, max_sequences: int) -> Iterator[list[int]]:
    """Yield indices of `lengths`, similar lengths together, each batch within both limits.

    A window longer than `max_tokens` is a batch of its own.
    """
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batch and (tokens + lengths[index] > max_tokens or len(batch) == max_sequences):
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += lengths[index]
    if batch:
        yield batch


def join(windows: Iterable[TokenIds]) -> bytes:
    """Return windows as one payload; their lengths travel beside it."""
    return b"".join(window.tobytes() for window in windows)


def split(payload: bytes, lengths: Sequence[int]) -> list[TokenIds]:
    """Return the windows that `join` made one payload of."""
    tokens = np.frombuffer(payload, dtype=np.int32)
    return np.split(tokens, np.cumsum(lengths)[:-1])
