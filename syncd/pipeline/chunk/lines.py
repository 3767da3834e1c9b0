"""Text without a grammar: the documented `lines` chunking, and the cuts of prose, logs and unknown formats."""

from __future__ import annotations

import re

from syncd.pipeline.chunk.solver import ChunkLimits, Cuts, character_start

PARAGRAPH_COST = 2.0
LONG_LINE_COST = 2.5
SENTENCE_LINE_COST = 8.0
PLAIN_LINE_COST = 10.0
SENTENCE_COST = 9.0

LONG_LINE_BYTES = 120
"""A newline after a longer line ends a paragraph; after a shorter one it is mere wrapping."""

LINE = re.compile(rb"[^\n]+\n?|\n")
_SENTENCE = re.compile(rb"(?:[.!?]['\")\]]*[ \t]+|\xe3\x80\x82|\xef\xbc[\x81\x9f])(?=[^\s])")


def line_pieces(data: bytes, max_lines: int, max_size_bytes: int) -> list[int]:
    """Return the ends of the documented pieces: at most `max_lines` lines and `max_size_bytes` bytes each.

    A line over the byte limit is cut, never inside a character.
    """
    ends: list[int] = []
    start = lines = 0
    for match in LINE.finditer(data):
        begin, end = match.span()
        if begin > start and (lines >= max_lines or end - start > max_size_bytes):
            ends.append(begin)
            start, lines = begin, 0
        while end - start > max_size_bytes:
            start = character_start(data, start, start + max_size_bytes)
            ends.append(start)
            lines = 0
        lines += 1
    if start < len(data):
        ends.append(len(data))
    return ends


def text_cuts(data: bytes, limits: ChunkLimits) -> Cuts:
    """Return the cuts of plain text: paragraphs, then lines that end a sentence or outdent, then sentences."""
    cuts: Cuts = {}
    blank = True
    before = b""
    for match in LINE.finditer(data):
        line = match.group()
        words = line.strip()
        if not words:
            blank = True
            continue
        start = match.start()
        indent = len(line) - len(line.lstrip())
        if blank:
            cuts[start] = PARAGRAPH_COST + min(indent, 8) / 4
        elif len(before) > LONG_LINE_BYTES:
            cuts[start] = LONG_LINE_COST
        elif before[-1:] in b".!?:;}":
            cuts[start] = SENTENCE_LINE_COST
        else:
            cuts[start] = PLAIN_LINE_COST + min(indent, 8) / 4
        if len(line) > limits.target_bytes:
            add_sentences(cuts, data, start, match.end())
        before, blank = words, False
    return cuts


def add_sentences(cuts: Cuts, data: bytes, start: int, end: int) -> None:
    """Add cuts at the sentences inside data[start:end]."""
    for match in _SENTENCE.finditer(data, start, end):
        if start < match.end() < end:
            cuts[match.end()] = SENTENCE_COST
