"""Splits a document's text into chunks that tile it: code by its syntax, Markdown by its structure, the rest by lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from syncd.errors import ConfigError
from syncd.model import Chunk, Chunking, OpenHeadings, PageMark, Part, Span, Split
from syncd.pipeline.chunk.breadcrumb import breadcrumb, path_line
from syncd.pipeline.chunk.lines import line_pieces
from syncd.pipeline.chunk.markdown import Heading
from syncd.pipeline.chunk.pieces import Piece, pieces
from syncd.pipeline.chunk.solver import character_start

MINIMUM_SIZE_BYTES = 4
"""The longest UTF-8 character: below it no limit could be kept."""
MAXIMUM_PARSE_CHARACTERS = 4 << 20
"""Larger sources are cut as text: a parse of them takes seconds, and nothing can interrupt it."""
WINDOW_CHARACTERS = 1 << 20
"""A larger part is taken in segments of this size, so that memory stays bounded."""
_WINDOW_ENDS: dict[str, tuple[str, ...]] = {"markdown": ("\n# ", "\n## ", "\n### ", "\n#"), "text": ()}
"""What a segment ends before, best first; then blank lines, then lines."""

__all__ = ["MINIMUM_SIZE_BYTES", "chunk_document", "split_segment"]


def chunk_document(parts: Iterable[Part], path: str, chunking: Chunking, parse: bool = True) -> Iterator[Chunk]:
    """Yield the chunks of `parts` in order, while parts are still coming; their texts joined are the document's text.

    Offsets are bytes of the whole document in UTF-8. No text is larger than `max_size_bytes` or cuts a character. A
    document of nothing but white space has no chunks; elsewhere white space goes with a neighbour, except runs longer
    than the limit, and blank lines that `type` lines counts like others. A part over 4 MB is taken in segments of 1 MB.

    Without `parse`, code is cut as text: for a document whose parse has hung or crashed its process (a few grammars can).
    Raises ConfigError for a `max_size_bytes` below 4 or a `max_lines` below 1.
    """
    return _Document(path, chunking, parse).chunks(parts)


def split_segment(
    parts: Iterable[Part], path: str, chunking: Chunking, parse: bool = True, open_headings: OpenHeadings = ()
) -> Split:
    """Return the chunks of a segment of a document that begins under `open_headings`; otherwise as `chunk_document`."""
    document = _Document(path, chunking, parse, open_headings)
    chunks = list(document.chunks(parts))
    return Split(chunks, document.open_headings)


class _Document:
    """What runs on from part to part: offsets, lines, pages and the heading path."""

    def __init__(self, path: str, chunking: Chunking, parse: bool, open_headings: OpenHeadings = ()) -> None:
        if chunking.max_size_bytes < MINIMUM_SIZE_BYTES:
            raise ConfigError(f"max_size_bytes is {chunking.max_size_bytes}: use at least {MINIMUM_SIZE_BYTES}")
        if chunking.max_lines < 1:
            raise ConfigError(f"max_lines is {chunking.max_lines}: use at least 1")
        self._path = path
        self._path_line = path_line(path)
        self._chunking = chunking
        self._parse = parse
        self._start_byte = 0
        self._start_line = 1
        self._received_bytes = 0
        self._marks: list[PageMark] = []
        self._headings = tuple(Heading(-1, level, title) for level, title in open_headings)
        self._place: tuple[tuple[str, ...], str, str] | None = None
        self._crumb = ""
        """The breadcrumb at `_place`: chunks that follow each other often stand in the same one."""

    @property
    def open_headings(self) -> OpenHeadings:
        """The headings open at the end of what was chunked so far."""
        return tuple((heading.level, heading.title) for heading in self._headings)

    def chunks(self, parts: Iterable[Part]) -> Iterator[Chunk]:
        """Yield the chunks, the last one late: blank text may still follow and join it."""
        blank = b""
        last: tuple[Piece, bytes] | None = None
        for part in parts:
            self._mark(part)
            for window in _windows(part):
                data = blank + window.encode("utf-8", "surrogatepass")
                self._received_bytes += len(data) - len(blank)
                blank = data if not window or window.isspace() else b""
                for piece in self._pieces(data, part) if not blank else ():
                    if last:
                        yield self._chunk(*last)
                    last = piece, data[piece.start : piece.end]
        if last:
            yield from self._end(*last, blank)

    def _pieces(self, data: bytes, part: Part) -> list[Piece]:
        large = len(part.text) > MAXIMUM_PARSE_CHARACTERS
        unparsed = "too large to parse" if large else "" if self._parse else "parser failed"
        found, headings = pieces(data, part.kind, self._path, self._chunking, self._headings, unparsed)
        self._headings = tuple(headings)
        return found

    def _mark(self, part: Part) -> None:
        """Take over a part's page marks; of those already passed only the last one still matters."""
        if not (self._marks or part.pages):
            return
        passed = bisect_right(self._marks, self._start_byte, key=lambda mark: mark.start_byte)
        self._marks = self._marks[max(0, passed - 1) :]
        base = self._received_bytes
        self._marks += [PageMark(base + mark.start_byte, mark.page, mark.label) for mark in part.pages]

    def _end(self, piece: Piece, text: bytes, blank: bytes) -> Iterator[Chunk]:
        """Yield the last chunk with the blank text after it, as far as that fits."""
        text += blank
        start = 0
        while start < len(text):
            end = character_start(text, start, start + self._chunking.max_size_bytes)
            if self._chunking.type == "lines":
                end = line_pieces(text[start:end], self._chunking.max_lines, len(text))[0] + start
            yield self._chunk(piece, text[start:end])
            start = end

    def _chunk(self, piece: Piece, data: bytes) -> Chunk:
        """Return the next chunk; its place is where the one before it ended."""
        start, line = self._start_byte, self._start_line
        self._start_byte += len(data)
        self._start_line += data.count(b"\n")
        page = last = None
        if self._marks:
            page = self._page_at(start + len(data) - len(data.lstrip()))
            last = self._page_at(start + len(data.rstrip()) - 1)
        label = page.label if page else ""
        ends_line = data.endswith(b"\n")
        return Chunk(
            text=data.decode("utf-8", "surrogatepass"),
            span=Span(
                start_byte=start,
                end_byte=self._start_byte,
                start_line=line,
                end_line=self._start_line - ends_line,
                page=page.page if page else None,
                page_label=label,
                last_page=last.page if last and last != page else None,
            ),
            stage=piece.stage,
            language=piece.language,
            symbol=piece.symbol,
            symbol_kind=piece.symbol_kind,
            scope=piece.scope,
            context=self._context(piece, label),
            note=piece.note,
        )

    def _page_at(self, byte: int) -> PageMark | None:
        mark = bisect_right(self._marks, byte, key=lambda mark: mark.start_byte) - 1
        return self._marks[mark] if mark >= 0 else None

    def _context(self, piece: Piece, label: str) -> str:
        if not self._chunking.breadcrumb:
            return ""
        place = piece.scope, label, piece.table_head
        if place != self._place:
            self._place, self._crumb = place, breadcrumb(self._path_line, *place)
        return self._crumb


def _windows(part: Part) -> Iterator[str]:
    """Yield a part's text whole, or when it is very large in segments that end where the text allows it."""
    text, start = part.text, 0
    while len(text) > MAXIMUM_PARSE_CHARACTERS and len(text) - start > WINDOW_CHARACTERS:
        limit = start + WINDOW_CHARACTERS
        ends = (text.rfind(mark, start + 1, limit) + 1 for mark in _WINDOW_ENDS[part.kind])
        blank, line = text.rfind("\n\n", start, limit) + 2, text.rfind("\n", start, limit) + 1
        end = next((end for end in (*ends, blank, line) if end > start + 1), limit)
        yield text[start:end]
        start = end
    yield text[start:]
