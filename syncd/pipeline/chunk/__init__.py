"""Splits a document's text into chunks that cover it exactly: code by syntax, Markdown and its kin by structure, the rest by lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from syncd.errors import ConfigError
from syncd.model import Chunk, Chunking, ChunkSpan, LineMark, PageMark, Part
from syncd.pipeline.chunk.breadcrumb import breadcrumb, path_line
from syncd.pipeline.chunk.lines import line_pieces
from syncd.pipeline.chunk.markdown import Heading
from syncd.pipeline.chunk.pieces import Piece, pieces
from syncd.pipeline.chunk.solver import character_start

MINIMUM_SIZE_BYTES = 4
"""The length of the longest UTF-8 character; no smaller limit can be kept."""
MAXIMUM_PARSE_CHARACTERS = 4 << 20
"""Larger source files are cut as text, because parsing them takes seconds and cannot be interrupted."""
WINDOW_CHARACTERS = 1 << 20
"""Larger parts are processed in windows of this size, which bounds memory."""
_WINDOW_ENDS: dict[str, tuple[str, ...]] = {"markdown": ("\n# ", "\n## ", "\n### ", "\n#"), "text": ()}
"""What a window ends before, best first; then blank lines, then lines."""

SEGMENT_CHARACTERS = 8 << 20
"""Text up to this size is cut as one; headings and pages run on into the next segment of a longer document, chunks do not."""

__all__ = ["MINIMUM_SIZE_BYTES", "chunk_document"]


def chunk_document(
    parts: Iterable[Part],
    path: str,
    chunking: Chunking,
    parsed_segments: int | None = None,
    segment_characters: int = SEGMENT_CHARACTERS,
) -> Iterator[list[Chunk]]:
    """Yield the chunks of `parts` in order, a list for each segment; the parts' texts joined are the document's text.

    A segment is as many parts as fit into `segment_characters`, at least one; the next one is taken when the list is.
    Offsets are bytes of the whole document in UTF-8. No text is larger than `max_size_bytes` or cuts a character. A
    segment of nothing but white space has no chunks; elsewhere white space goes with a neighbour, except runs longer
    than the limit, and blank lines that `type` lines counts like others. A part over 4 MB is cut in windows of 1 MB.

    From segment number `parsed_segments` on, counted from 0, code is cut as text: for a document whose parse there has hung
    or crashed its process (a few grammars can). Raises ConfigError for a `max_size_bytes` below 4 or a `max_lines` below 1.
    """
    document = _Document(path, chunking)
    return (
        document.chunks(segment, parsed_segments is None or number < parsed_segments)
        for number, segment in enumerate(_segments(parts, segment_characters))
    )


def _segments(parts: Iterable[Part], characters: int) -> Iterator[list[Part]]:
    gathered, length = list[Part](), 0
    for part in parts:
        if gathered and length + len(part.text) > characters:
            yield gathered
            gathered, length = [], 0
        gathered.append(part)
        length += len(part.text)
    if gathered:
        yield gathered


class _Document:
    """What runs on from part to part and from segment to segment: offsets, lines, pages and the heading path."""

    def __init__(self, path: str, chunking: Chunking) -> None:
        if chunking.max_size_bytes < MINIMUM_SIZE_BYTES:
            raise ConfigError(f"max_size_bytes is {chunking.max_size_bytes}: use at least {MINIMUM_SIZE_BYTES}")
        if chunking.max_lines < 1:
            raise ConfigError(f"max_lines is {chunking.max_lines}: use at least 1")
        self._path = path
        self._path_line = path_line(path)
        self._chunking = chunking
        self._is_parsed = True
        self._start_byte = 0
        self._start_line = 1
        self._received_bytes = 0
        self._marks: list[PageMark] = []
        self._lines: list[LineMark] = []
        self._headings: Sequence[Heading] = ()
        self._place: tuple[tuple[str, ...], str, str] | None = None
        self._crumb = ""
        """The breadcrumb at `_place`: chunks that follow each other often stand in the same one."""

    def chunks(self, parts: Iterable[Part], is_parsed: bool) -> list[Chunk]:
        """Return the next segment's chunks."""
        self._is_parsed = is_parsed
        found = list(self._chunks(parts))
        if self._start_byte < self._received_bytes:
            self._pass_blank(parts)
        return found

    def _chunks(self, parts: Iterable[Part]) -> Iterator[Chunk]:
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

    def _pass_blank(self, parts: Iterable[Part]) -> None:
        """Go on behind a segment that has no chunks, since it is blank."""
        self._start_byte = self._received_bytes
        self._start_line += sum(part.text.count("\n") for part in parts)

    def _pieces(self, data: bytes, part: Part) -> list[Piece]:
        large = len(part.text) > MAXIMUM_PARSE_CHARACTERS
        unparsed = "too large to parse" if large else "" if self._is_parsed else "parser failed"
        found, headings = pieces(data, part.kind, self._path, self._chunking, self._headings, unparsed)
        self._headings = headings
        return found

    def _mark(self, part: Part) -> None:
        """Take over a part's marks; of those already passed only the last one still matters."""
        if part.lines or self._lines:
            passed = bisect_right(self._lines, self._start_byte, key=lambda mark: mark.start_byte)
            base = self._received_bytes
            self._lines = self._lines[max(0, passed - 1) :]
            self._lines += [mark._replace(start_byte=base + mark.start_byte) for mark in part.lines]
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
        first_line, last_line = self._lines_of(data, start, line)
        return Chunk(
            text=data.decode("utf-8", "surrogatepass"),
            span=ChunkSpan(
                start_byte=start,
                end_byte=self._start_byte,
                start_line=first_line,
                end_line=last_line,
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

    def _lines_of(self, data: bytes, start: int, line: int) -> tuple[int, int]:
        """Return the lines of the file that a text stands on: of the document's text, where that is the file's."""
        if not self._lines:
            return line, self._start_line - data.endswith(b"\n")
        places = start + len(data) - len(data.lstrip()), start + len(data.rstrip()) - 1
        first, last = (
            self._lines[max(0, bisect_right(self._lines, place, key=lambda mark: mark.start_byte) - 1)]
            for place in places
        )
        return first.first_line, last.last_line

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
    """Yield a part's text whole, or when it is very large in windows that end where the text allows it."""
    text, start = part.text, 0
    while len(text) > MAXIMUM_PARSE_CHARACTERS and len(text) - start > WINDOW_CHARACTERS:
        limit = start + WINDOW_CHARACTERS
        ends = (text.rfind(mark, start + 1, limit) + 1 for mark in _WINDOW_ENDS[part.kind])
        blank, line = text.rfind("\n\n", start, limit) + 2, text.rfind("\n", start, limit) + 1
        end = next((end for end in (*ends, blank, line) if end > start + 1), limit)
        yield text[start:end]
        start = end
    yield text[start:]
