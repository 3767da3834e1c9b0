"""Parts of stored documents: lines, pages, sections; and how many tokens a text has. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from syncd.search.asked import plain_name
from syncd.search.signals import defined_names, defines
from syncd.store.texts import TextChunk

_PIECES = re.compile(r"[A-Za-z]{1,4}|\d{1,2}|[ \t]{1,4}|\s|[^\x00-\x7f]|.")
HEADING_SEPARATOR = " > "
"""Between the headings or names of a path."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a document is wanted: lines or pages (from 1, both ends included; None: to the end) or a section by its heading."""

    first_line: int = 1
    last_line: int | None = None
    first_page: int | None = None
    last_page: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document's text, on these lines of it; `next_line`: where to read on, None at the end of what was wanted."""

    text: str
    first_line: int
    last_line: int
    next_line: int | None = None


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
    """Return the selected part of a document's chunks, cut after the line that still fits; None where nothing is selected.

    The first line is returned in any case. Where a text is laid out otherwise than its file (rows of a table, say) all of
    its chunk is on the chunk's lines.
    """
    lines = [line for chunk in chunks if _selects(wanted, chunk) for line in numbered_lines(chunk)]
    lines = [line for line in lines if wanted.first_line <= line[1] and line[0] <= (wanted.last_line or line[0])]
    if not lines:
        return None
    spent, kept = 0, 0
    for _, _, text in lines:
        spent += token_estimate(text)
        if kept and spent > max_tokens:
            break
        kept += 1
    shown = lines[:kept]
    following = lines[kept][0] if kept < len(lines) else None
    return Passage("".join(text for *_, text in shown), shown[0][0], max(last for _, last, _ in shown), following)


def _selects(wanted: Selection, chunk: TextChunk) -> bool:
    metadata = chunk.metadata
    if wanted.first_page is not None:
        page = metadata.get("page")
        if not isinstance(page, int):
            return False
        reaches = int(metadata.get("last_page", page)) >= wanted.first_page
        return reaches and (wanted.last_page is None or page <= wanted.last_page)
    return not wanted.heading or _has_heading(chunk, wanted.heading.rpartition(HEADING_SEPARATOR)[2].strip())


def _has_heading(chunk: TextChunk, name: str) -> bool:
    """Return whether a chunk is, or is in, the section or definition of this name, or has one in it."""
    path = str(chunk.metadata.get("heading_path") or chunk.metadata.get("scope") or "").split(HEADING_SEPARATOR)
    if name.casefold() in [one.casefold() for one in [*path, str(chunk.metadata.get("symbol", ""))]]:
        return True
    titles = (line.strip("#=* \t\r").casefold() for line in chunk.text.split("\n"))
    return name.casefold() in titles or (
        chunk.metadata.get("stage") == "code" and defines(defined_names(chunk.text), plain_name(name))
    )


def numbered_lines(chunk: TextChunk) -> list[tuple[int, int, str]]:
    """Return (first line, last line, text) of each line of a chunk."""
    start, end = int(chunk.metadata["start_line"]), int(chunk.metadata["end_line"])
    parts = [f"{line}\n" for line in chunk.text.split("\n")]
    parts[-1] = parts[-1][:-1]
    parts = parts if parts[-1] else parts[:-1]
    if len(parts) != end - start + 1:
        return [(start, end, part) for part in parts]
    return [(start + number, start + number, part) for number, part in enumerate(parts)]
