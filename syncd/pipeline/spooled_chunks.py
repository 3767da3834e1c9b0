"""Documents larger than memory should hold: their text in segments, their finished chunks in a temporary file."""

from __future__ import annotations

import pickle
import weakref
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import cast, overload

from typing_extensions import override

from syncd.model import Chunk, PageMark, Part, Span
from syncd.pipeline.lineage import with_count
from syncd.store.staging import NewChunk

STRETCH_BYTES = 8 << 20
"""Text up to this size is split as one; headings and pages run on into the next segment, chunks do not."""

MEMORY_MAX_BYTES = 8 << 20
"""Finished chunks beyond this wait on disk."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Parts of one document that are split together, and where in the document's text they begin."""

    parts: Sequence[Part]
    start_byte: int = 0
    line_ends: int = 0
    """Line ends before it."""

    @property
    def after(self) -> tuple[int, int]:
        """Where the next segment begins: its byte, and the line ends before it."""
        size_bytes = sum(len(part.text.encode("utf-8", "surrogatepass")) for part in self.parts)
        line_ends = sum(part.text.count("\n") for part in self.parts)
        return self.start_byte + size_bytes, self.line_ends + line_ends

    def placed(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Return this segment's chunks with the bytes and lines of the whole document."""
        if not self.start_byte:
            return list(chunks)
        return [chunk._replace(span=self._moved(chunk)) for chunk in chunks]

    def _moved(self, chunk: Chunk) -> Span:
        span = chunk.span
        return span._replace(
            start_byte=span.start_byte + self.start_byte,
            end_byte=span.end_byte + self.start_byte,
            start_line=span.start_line + self.line_ends,
            end_line=span.end_line + self.line_ends,
        )


async def segments(parts: AsyncIterator[Part], size: int = STRETCH_BYTES) -> AsyncGenerator[Segment]:
    """Yield a document's parts in segments of at most `size` characters, or of one part; at least one segment.

    Leaving early closes `parts`, and with it the process that reads the document.
    """
    start, gathered, length = (0, 0), list[Part](), 0
    page: PageMark | None = None
    async with aclosing(cast("AsyncGenerator[Part]", parts)) as arriving:
        async for part in arriving:
            if gathered and length + len(part.text) > size:
                segment = Segment(gathered, *start)
                yield segment
                start, page = segment.after, last_page(gathered, page)
                gathered, length = [], 0
            gathered.append(part if gathered else continued(part, page))
            length += len(part.text)
    yield Segment(gathered, *start)


def last_page(parts: Sequence[Part], before: PageMark | None) -> PageMark | None:
    """Return the page that the end of `parts` is on; `before` when they do not say."""
    return next((mark for part in reversed(parts) for mark in reversed(part.pages)), before)


def continued(part: Part, page: PageMark | None) -> Part:
    """Return a part that begins a segment, on the page where the one before it ended unless it begins its own."""
    if page is None or (part.pages and part.pages[0].start_byte == 0):
        return part
    return replace(part, pages=(replace(page, start_byte=0), *part.pages))


class SpooledChunks(Sequence[NewChunk]):
    """A document's finished chunks, in order: few in memory, many in a temporary file without a name.

    The file goes with the object, not earlier: who is handed the chunks may read them after their maker was cancelled.
    """

    def __init__(self) -> None:
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(MEMORY_MAX_BYTES)  # noqa: SIM115 - see above
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
        return replace(chunk, metadata=with_count(chunk.metadata, len(self)))

    @override
    def __iter__(self) -> Iterator[NewChunk]:
        return (self[number] for number in range(len(self)))
