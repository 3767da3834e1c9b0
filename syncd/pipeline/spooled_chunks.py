"""The finished chunks of documents larger than memory should hold, in a temporary file."""

from __future__ import annotations

import pickle
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import overload

from typing_extensions import override

from syncd.store.changes import NewChunk

CHUNKS_IN_MEMORY_MAX_BYTES = 8 << 20
"""Finished chunks beyond this wait on disk."""


class SpooledChunks(Sequence[NewChunk]):
    """A document's finished chunks, in order: few in memory, many in a temporary file without a name.

    The file goes with the object, not earlier: who is handed the chunks may read them after their maker was cancelled.
    """

    def __init__(self) -> None:
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(CHUNKS_IN_MEMORY_MAX_BYTES)  # noqa: SIM115 - see above
        self._offsets = array("Q")
        weakref.finalize(self, self._file.close)

    def extend(self, chunks: Iterable[NewChunk]) -> None:
        """Add chunks at the end; waits for the disk when there are many."""
        self._file.seek(0, 2)
        for chunk in chunks:
            self._offsets.append(self._file.tell())
            pickle.dump(chunk, self._file, pickle.HIGHEST_PROTOCOL)

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> NewChunk: ...
    @overload
    def __getitem__(self, index: slice) -> list[NewChunk]: ...
    @override
    def __getitem__(self, index: int | slice) -> NewChunk | list[NewChunk]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        self._file.seek(self._offsets[index])
        chunk: NewChunk = pickle.load(self._file)  # noqa: S301 - only ever what `extend` wrote
        return chunk

    @override
    def __iter__(self) -> Iterator[NewChunk]:
        return (self[number] for number in range(len(self)))
