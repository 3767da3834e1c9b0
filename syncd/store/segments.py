"""Inverted lists: which rows have a term, and with which weight. Pure: numpy in, numpy or bytes out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BUCKET_BITS = 12
BUCKETS = 1 << _BUCKET_BITS
"""Lists are stored in so many blocks, each with those of some terms: few rows for SQLite, and little that is read besides the list asked for."""
_SPREAD = np.uint32(0x9E3779B1)
"""Knuth's multiplicative hash (2**32 / golden ratio, odd, so no two terms share a key): terms of a vocabulary are small numbers,
which it spreads over all blocks."""
_CHECKSUM_BYTES = 4
_NUMBER, _NUMBERS = struct.Struct("<I"), struct.Struct("<II")
_NO_ROWS, _NO_WEIGHTS = np.empty(0, np.uint32), np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Segment:
    """Lists by the terms' keys, which ascend: those of `keys[i]` are `rows[starts[i]:starts[i + 1]]`, ascending, with their `weights`."""

    keys: NDArray[np.uint32]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    weights: NDArray[np.float32]

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return self.keys.nbytes + self.starts.nbytes + self.rows.nbytes + self.weights.nbytes

    def slice_of(self, key: int) -> slice:
        """Return where a term's list stands."""
        place = int(self.keys.searchsorted(np.uint32(key)))
        if place == len(self.keys) or self.keys[place] != key:
            return slice(0, 0)
        return slice(int(self.starts[place]), int(self.starts[place + 1]))

    def blocks(self) -> Iterator[tuple[int, Segment]]:
        """Yield its lists by bucket; buckets without any are left out."""
        bounds = np.searchsorted(buckets_of(self.keys), np.arange(BUCKETS + 1)).tolist()
        for bucket in range(BUCKETS):
            first, end = bounds[bucket], bounds[bucket + 1]
            if first < end:
                start, stop = self.starts[first], self.starts[end]
                starts = self.starts[first : end + 1] - start
                yield bucket, Segment(self.keys[first:end], starts, self.rows[start:stop], self.weights[start:stop])


def keys_of(terms: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the keys of terms."""
    return terms * _SPREAD


def buckets_of(keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return which block each key's list is in."""
    return keys >> np.uint32(32 - _BUCKET_BITS)


def segment(keys: NDArray[np.uint32], rows: NDArray[np.uint32], weights: NDArray[np.float32]) -> Segment:
    """Return the segment of these postings, whose rows ascend within each term."""
    # Sorting (key, place) as one number is a stable sort by key, and several times faster than a stable argsort.
    places = np.sort((keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64))
    ordered = (places >> np.uint64(32)).astype(np.uint32)
    order = places & np.uint64(0xFFFFFFFF)
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(ordered)), np.bool_), ordered[1:] != ordered[:-1]]))
    return Segment(ordered[starts], np.append(starts, len(ordered)), rows[order], weights[order])


def merged(segments: Sequence[Segment], numbers: Sequence[NDArray[np.int64]]) -> Segment:
    """Return segments as one. Row n of the i-th becomes row `numbers[i][n]`, or goes where that is -1; all ascend."""
    rows = [these[part.rows] for part, these in zip(segments, numbers, strict=True)]
    stays = [some >= 0 for some in rows]
    keys = [np.repeat(part.keys, np.diff(part.starts)) for part in segments]
    return segment(
        np.concatenate([some[kept] for some, kept in zip(keys, stays, strict=True)]),
        np.concatenate([some[kept].astype(np.uint32) for some, kept in zip(rows, stays, strict=True)]),
        np.concatenate([part.weights[kept] for part, kept in zip(segments, stays, strict=True)]),
    )


def sealed(content: bytes) -> bytes:
    """Return bytes with their checksum before them."""
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") + content


def unsealed(stored: bytes) -> memoryview:
    """Return what was sealed. Raises ValueError if it is not what was stored."""
    content = memoryview(stored)[_CHECKSUM_BYTES:]
    if zlib.crc32(content) != int.from_bytes(stored[:_CHECKSUM_BYTES], "little"):
        raise ValueError("a stored block has another checksum")
    return content


def packed_segment(part: Segment) -> bytes:
    """Return a segment as stored: how many terms, keys, starts, rows, weights, little-endian and sealed."""
    terms, starts = np.array([len(part.keys)], "<u4"), part.starts.astype("<u4")
    return sealed(b"".join(column.tobytes() for column in (terms, part.keys, starts, part.rows, part.weights)))


def unpacked_segment(stored: bytes) -> Segment:
    """Return a stored segment. Raises ValueError if it is not what was stored."""
    numbers = np.frombuffer(unsealed(stored), "<u4")
    terms = int(numbers[0])
    keys, starts, rest = numbers[1 : terms + 1], numbers[terms + 1 : 2 * terms + 2], numbers[2 * terms + 2 :]
    rows, weights = rest[: len(rest) // 2], rest[len(rest) // 2 :].view("<f4")
    return Segment(keys, starts.astype(np.int64), rows, weights)


ListPiece = tuple[int, NDArray[np.uint32], NDArray[np.float32]]
"""A term's rows and weights in one of several parts, after which row of all the part's begin."""


def list_in(stored: bytes, key: np.uint32) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return the rows and weights of one term in a stored segment, without unpacking the others: a query reads a hundred blocks.

    Raises ValueError if it is not what was stored.
    """
    (terms,) = _NUMBER.unpack_from(unsealed(stored))
    keys = np.frombuffer(stored, "<u4", terms, 8)
    place = int(keys.searchsorted(key))
    if place == terms or keys[place] != key:
        return _NO_ROWS, _NO_WEIGHTS
    start, stop = _NUMBERS.unpack_from(stored, 8 + 4 * (terms + place))
    first = 8 + 4 * (2 * terms + 1)
    weights_at = first + (len(stored) - first) // 2
    count = stop - start
    return np.frombuffer(stored, "<u4", count, first + 4 * start), np.frombuffer(
        stored, "<f4", count, weights_at + 4 * start
    )
