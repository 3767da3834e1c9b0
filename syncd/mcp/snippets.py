"""What is shown of a hit: the lines of it that answer best, and where they stand. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from syncd.search import SearchHit


@dataclass(frozen=True, slots=True)
class Snippet:
    """Lines of a hit, with its place; lines are None where the hit does not know them."""

    collection: str
    key: str
    first_line: int | None
    last_line: int | None
    symbol: str
    language: str
    score: float
    text: str
    cut: bool = False
    """Whether the reply had no room for more of its lines."""


def first_lines(one: Snippet, count: int) -> Snippet:
    """Return a hit cut after `count` lines, of which it has more."""
    parts = one.text.split("\n")
    first, last = one.first_line, one.last_line
    if first is not None and last is not None and last - first + 1 == len(parts):
        last = first + count - 1
    return replace(one, text="\n".join(parts[:count]), last_line=last, cut=True)


def snippet(hit: SearchHit, max_lines: int | None) -> Snippet:
    """Return the `max_lines` lines of a hit with most words of the query, the first such ones; None: all of it."""
    parts = hit.text.rstrip().split("\n")
    lines = max_lines or len(parts)
    start = _densest(hit, [len(part) + 1 for part in parts], lines)
    shown = parts[start : start + lines]
    metadata = hit.metadata
    first, last = hit.span or (None, None)
    if first is not None and last is not None and last - first + 1 >= len(parts):
        first, last = first + start, first + start + len(shown) - 1
    name = metadata.get("symbol") or metadata.get("heading_path") or ""
    return Snippet(
        collection=hit.collection,
        key=str(metadata.get("key", hit.id)),
        first_line=first,
        last_line=last,
        symbol=str(name),
        language=str(metadata.get("language", "")),
        score=round(hit.score, 4),
        text="\n".join(shown),
    )


def _densest(hit: SearchHit, lengths: list[int], lines: int) -> int:
    """Return the line from which `lines` lines have most highlights."""
    counts = [0] * len(lengths)
    line, end = 0, lengths[0]
    for start, _ in hit.highlights:
        while start >= end and line + 1 < len(lengths):
            line += 1
            end += lengths[line]
        counts[line] += 1
    starts = range(max(1, len(lengths) - lines + 1))
    return max(starts, key=lambda first: (sum(counts[first : first + lines]), -first))
