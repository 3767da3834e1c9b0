"""One segment of text to pieces: chooses the stage, solves the cuts, and says what stands where."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from syncd.model import Chunking, ChunkingStage, TextKind
from syncd.pipeline.chunk.code import syntax
from syncd.pipeline.chunk.components import COMPONENTS, component_syntax
from syncd.pipeline.chunk.languages import MARKDOWN_GRAMMAR, grammar, grammar_of
from syncd.pipeline.chunk.lines import line_pieces, text_cuts
from syncd.pipeline.chunk.markdown import Heading, MarkdownTable, outline
from syncd.pipeline.chunk.markups import MARKUPS
from syncd.pipeline.chunk.names import Definition
from syncd.pipeline.chunk.solver import ChunkLimits, solve

DENSE_BYTES = 20_000
"""From this size on, more than `DENSE_LINE_BYTES` a line on average count as minified and are not parsed."""
DENSE_LINE_BYTES = 1_000

_BLANK = re.compile(rb"[ \t\r\n\f\v]*")


class Piece(NamedTuple):
    """A chunk before it knows its place in the document: data[start:end], and what it is."""

    start: int
    end: int
    stage: ChunkingStage
    language: str = ""
    symbol: str = ""
    symbol_kind: str = ""
    scope: tuple[str, ...] = ()
    table_head: str = ""
    note: str = ""


def pieces(
    data: bytes,
    kind: TextKind,
    path: str,
    chunking: Chunking,
    open_headings: Sequence[Heading],
    unparsed: str = "",
) -> tuple[list[Piece], Sequence[Heading]]:
    """Return the pieces that tile `data` (not blank), and the headings open at its end.

    `open_headings` are those open where it begins; `unparsed` says why code is not to be parsed, '' to parse it. Text is
    code where its file's name or beginning names a language.
    """
    maximum = chunking.max_size_bytes
    if chunking.type == "lines":
        ends = line_pieces(data, chunking.max_lines, maximum)
        return [Piece(start, end, "lines") for start, end in _spans(ends)], open_headings
    limits = ChunkLimits(max(1, min(chunking.target_size_bytes, maximum)), maximum)
    language = grammar_of(path, data) if kind == "text" else MARKDOWN_GRAMMAR
    if language in MARKUPS:
        return _markup_pieces(data, language, limits, open_headings)
    if not language:
        return _text_pieces(data, limits, "", ""), open_headings
    return _code_pieces(data, language, limits, unparsed), open_headings


def _spans(ends: Iterable[int]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    start = 0
    for end in ends:
        spans.append((start, end))
        start = end
    return spans


def _text_pieces(data: bytes, limits: ChunkLimits, language: str, note: str) -> list[Piece]:
    spans = _spans(solve(data, text_cuts(data, limits), limits))
    stage: ChunkingStage = "lines" if len(spans) > 1 else "whole"
    return [Piece(start, end, stage, language, note=note) for start, end in spans]


def _code_pieces(data: bytes, name: str, limits: ChunkLimits, unparsed: str) -> list[Piece]:
    """Return pieces along the syntax tree, or along lines with a note where that cannot be."""
    if unparsed:
        return _text_pieces(data, limits, name, unparsed)
    if len(data) > DENSE_BYTES and len(data) > DENSE_LINE_BYTES * (data.count(b"\n") + 1):
        return _text_pieces(data, limits, name, "minified")
    language = grammar(name)
    if language is None:
        return _text_pieces(data, limits, name, "no grammar")
    tree = component_syntax(data, name, limits) if name in COMPONENTS else syntax(data, name, language, limits)
    spans = _spans(solve(data, tree.cuts, limits))
    return _with_symbols(data, name, spans, tree.definitions)


def _with_symbols(
    data: bytes, language: str, spans: list[tuple[int, int]], definitions: list[Definition]
) -> list[Piece]:
    """Return code pieces with what they define and the names around them that they do not show."""
    result: list[Piece] = []
    around: list[tuple[int, str, str]] = []
    starts = [definition.start for definition in definitions]
    index = 0
    for start, end in spans:
        around = [outer for outer in around if outer[0] > start]
        scope = tuple([name for _, name, _ in around if name])
        largest, largest_size = None, 0
        first, index = index, bisect_left(starts, end, index)
        inside = definitions[first:index]
        for definition in inside:
            size = (definition.end if definition.end < end else end) - definition.start
            if size > largest_size:
                largest, largest_size = definition, size
        symbol, kind = largest.symbol(data) if largest else around[-1][1:] if around else ("", "")
        result.append(Piece(start, end, "code", language, symbol, kind, scope))
        around += [(definition.end, *definition.symbol(data)) for definition in inside if definition.end > end]
    return result


def _markup_pieces(
    data: bytes, language: str, limits: ChunkLimits, open_headings: Sequence[Heading]
) -> tuple[list[Piece], Sequence[Heading]]:
    """Return pieces along headings and blocks; `scope` is the heading path above what a piece shows itself."""
    found = outline(data, MARKUPS[language](data), limits)
    path = list(open_headings)
    result: list[Piece] = []
    index = 0
    for start, end in _spans(solve(data, found.cuts, limits)):
        first = _BLANK.match(data, start, end)
        begin = first.end() if first else start
        title = ""
        while index < len(found.headings) and found.headings[index].start <= begin:
            path = _opened(path, found.headings[index])
            index += 1
            title = path[-1].title if path[-1].start >= start else ""
        shown = path and path[-1].start >= start and path[-1].start <= begin and index > 0
        scope = tuple(heading.title for heading in (path[:-1] if shown else path))
        while index < len(found.headings) and found.headings[index].start < end:
            path = _opened(path, found.headings[index])
            title = title or path[-1].title
            index += 1
        kind = "section" if title else ""
        head = _table_head(data, found.tables, begin)
        result.append(Piece(start, end, "markdown", language, title, kind, scope, head))
    return result, [Heading(-1, heading.level, heading.title) for heading in path]


def _opened(path: list[Heading], heading: Heading) -> list[Heading]:
    return [*(above for above in path if above.level < heading.level), heading]


def _table_head(data: bytes, tables: list[MarkdownTable], begin: int) -> str:
    """Return the header row of the table that `begin` goes on with, '' when it stands in none."""
    index = bisect_right(tables, begin, key=lambda table: table.start) - 1
    if index < 0 or not tables[index].head_end <= begin < tables[index].end:
        return ""
    return data[tables[index].head_start : tables[index].head_end].partition(b"\n")[0].decode("utf-8", "replace")
