"""Parts of stored documents: lines, pages, sections; and how many tokens a text has. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import NamedTuple

from syncd.search.asked import plain_name
from syncd.search.signals import defined_names, defines
from syncd.store.texts import TextChunk

_PIECES = re.compile(r"[A-Za-z]{1,4}|\d{1,2}|[ \t]{1,4}|\s|[^\x00-\x7f]|.")
HEADING_SEPARATOR = " > "
"""Between the headings or names of a path."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a document is wanted: what is on these lines, on these pages (both from 1, both ends included; None: from the start,
    to the end) and in the section of this heading, from the line on that begins at byte `first_byte` of the text, or next after it.
    """

    first_line: int = 1
    last_line: int | None = None
    first_page: int | None = None
    last_page: int | None = None
    heading: str = ""
    first_byte: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document's text, on these lines of it; `next_line` and `next_byte`: where to read on, None at the end of what was wanted."""

    text: str
    first_line: int
    last_line: int
    next_line: int | None = None
    next_byte: int | None = None


class PlacedLine(NamedTuple):
    """A line of a chunk, with its end; of a line that is cut into chunks, a piece. It stands on these lines of the file, and begins at
    this byte of the document's text.
    """

    first: int
    last: int
    start_byte: int
    text: str


def token_estimate(text: str) -> int:
    """Return how many tokens a text has for a language model, rather too many: no tokenizer is asked.

    Words count for every four letters, numbers for every two digits, other signs for themselves.
    """
    return len(_PIECES.findall(text))


def leading_lines(text: str, max_tokens: int, *, at_any_price: bool = False) -> str:
    """Return the first lines of a text that fit, '' where none does; `at_any_price`: then as much of the first one as fits."""
    spent, end = 0, 0
    for line in text.splitlines(keepends=True):
        spent += token_estimate(line)
        if spent > max_tokens:
            break
        end += len(line)
    if end or not at_any_price:
        return text[:end]
    pieces = list(islice(_PIECES.finditer(text), max(1, max_tokens)))
    return text[: pieces[-1].end()] if pieces else ""


def passage(chunks: Sequence[TextChunk], wanted: Selection, max_tokens: int) -> Passage | None:
    """Return what a selection has of chunks that are on its pages and in its section, cut after the line that still fits; None where
    that is nothing.

    The first line, or piece of a line, is returned in any case. Where a text is laid out otherwise than its file (rows of a
    table, say) all of its chunk is on the chunk's lines.
    """
    lines = [line for chunk in chunks for line in numbered_lines(chunk) if _selects(wanted, line)]
    if not lines:
        return None
    spent, kept = 0, 0
    for line in lines:
        spent += token_estimate(line.text)
        if kept and spent > max_tokens:
            break
        kept += 1
    shown = lines[:kept]
    following = (lines[kept].first, lines[kept].start_byte) if kept < len(lines) else (None, None)
    return Passage("".join(line.text for line in shown), shown[0].first, max(line.last for line in shown), *following)


def _selects(wanted: Selection, line: PlacedLine) -> bool:
    return (
        wanted.first_line <= line.last
        and line.first <= (wanted.last_line or line.first)
        and wanted.first_byte <= line.start_byte
    )


def is_in_section(chunk: TextChunk, heading: str) -> bool:
    """Return whether a chunk is, or is in, the section or definition of this heading or path of headings, or has one in it."""
    return _has_heading(chunk, heading.rpartition(HEADING_SEPARATOR)[2].strip())


def _has_heading(chunk: TextChunk, name: str) -> bool:
    path = str(chunk.metadata.get("heading_path") or chunk.metadata.get("scope") or "").split(HEADING_SEPARATOR)
    if name.casefold() in [one.casefold() for one in [*path, str(chunk.metadata.get("symbol", ""))]]:
        return True
    titles = (line.strip("#=* \t\r").casefold() for line in chunk.text.split("\n"))
    return name.casefold() in titles or (
        chunk.metadata.get("stage") == "code" and defines(defined_names(chunk.text), plain_name(name))
    )


def numbered_lines(chunk: TextChunk) -> list[PlacedLine]:
    """Return the lines of a chunk."""
    start, end = int(chunk.metadata["start_line"]), int(chunk.metadata["end_line"])
    parts = [f"{line}\n" for line in chunk.text.split("\n")]
    parts[-1] = parts[-1][:-1]
    parts = parts if parts[-1] else parts[:-1]
    lengths = (len(part.encode("utf-8", "surrogatepass")) for part in parts)
    begins = accumulate(lengths, initial=int(chunk.metadata["start_byte"]))
    is_laid_out_alike = len(parts) == end - start + 1
    return [
        PlacedLine(start + number, start + number, begin, part)
        if is_laid_out_alike
        else PlacedLine(start, end, begin, part)
        for number, (begin, part) in enumerate(zip(begins, parts, strict=False))
    ]
