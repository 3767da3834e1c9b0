"""Replies of tools as Markdown and as values, within a limit of tokens. Pure."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from syncd.mcp.snippets import Snippet, first_lines
from syncd.search.passages import token_estimate
from syncd.search.reading import ReadText

MAX_TOKENS = 8000
"""Limit on a reply, Markdown and values together: agents refuse long ones, and pay for all of them."""
READ_TOKENS = 3500
"""Limit on the text of a document in a reply, which has it twice."""
_ROOM = 100
"""Tokens for what stands around."""


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What a tool answers."""

    markdown: str
    values: Mapping[str, object]


def found_reply(
    snippets: Sequence[Snippet],
    notices: Sequence[str],
    max_tokens: int = MAX_TOKENS,
    places: Sequence[int] = (),
    next_offset: int | None = None,
) -> ToolReply:
    """Return hits as a reply: as many as fit, the last one cut at the end of a line; it says how to get the others.

    `places`: the offset of each hit, where a search can go on; `next_offset`: the one after all of them, if there are more.
    """
    left = max_tokens - _ROOM - 2 * token_estimate(" ".join(notices))
    kept: list[Snippet] = []
    for one in snippets:
        tokens = _tokens_of(one)
        kept += [one] if tokens <= left else _shortened(one, left)
        left -= tokens
        if left < 0:
            break
    next_offset = places[len(kept)] if kept and len(kept) < len(places) else next_offset if kept else None
    lines = [*map(hit_block, kept), *(f"Note: {notice}" for notice in notices)]
    if not snippets:
        lines.append(
            "Nothing found: ask in other words, drop `paths` or `languages`, or see with the tool `list` what is here."
        )
    elif not kept:
        lines.append("The first hit alone is too long: give fewer `lines`, and read on with the tool `read`.")
    if next_offset is not None:
        lines.append(f"More hits: search again with offset={next_offset}. Whole documents: the tool `read`.")
    values = {"hits": [_values_of(one) for one in kept], "next_offset": next_offset, "notices": list(notices)}
    return ToolReply("\n\n".join(lines), values)


def _tokens_of(one: Snippet) -> int:
    return token_estimate(hit_block(one)) + token_estimate(json.dumps(_values_of(one)))


def _shortened(one: Snippet, max_tokens: int) -> list[Snippet]:
    """Return a hit with as many lines as fit; nothing where none does."""
    lines = one.text.count("\n") + 1
    fitting_lines = bisect_right(range(1, lines), max_tokens, key=lambda count: _tokens_of(first_lines(one, count)))
    return [first_lines(one, fitting_lines)] if fitting_lines else []


def _values_of(one: Snippet) -> Mapping[str, object]:
    return {name: value for name, value in asdict(one).items() if value not in ("", None) and value is not False}


def hit_block(one: Snippet) -> str:
    """Return a hit as Markdown."""
    lines = f" L{one.first_line}-L{one.last_line}" if one.first_line is not None else ""
    symbol = f" — {one.symbol}" if one.symbol else ""
    cut = "\n(cut here: read on with the tool `read`)" if one.cut else ""
    return f"**{one.key}**{lines}{symbol} ({one.score:g}, {one.collection})\n{_fenced(one.text, one.language)}{cut}"


def read_reply(found: ReadText, collection: str) -> ToolReply:
    """Return a part of a document as a reply."""
    part = found.passage
    head = f"**{found.key}** L{part.first_line}-L{part.last_line} ({collection})"
    text = [head, _fenced(part.text, "")]
    if part.next_line is not None:
        text.append(f"More, from line {part.next_line} on: read again with first_byte={part.next_byte}.")
    if found.documents > 1:
        text.append(f"Note: {found.documents} sources have a document of this key; this is the oldest source's.")
    values = {"collection": collection, "key": found.key, "first_line": part.first_line, "last_line": part.last_line}
    more = {"next_line": part.next_line, "next_byte": part.next_byte}
    return ToolReply("\n\n".join(text), {**values, "text": part.text, **more})


def list_reply(lines: Sequence[str], values: Mapping[str, object], next_offset: int | None) -> ToolReply:
    """Return a list as a reply; it says how to get the rest."""
    more = [f"More: list again with offset={next_offset}."] if next_offset is not None else []
    return ToolReply("\n".join([*lines, *more]) or "Nothing.", {**values, "next_offset": next_offset})


def fitting(lines: Sequence[str]) -> int:
    """Return how many of these lines fit a reply that has each twice."""
    spent = _ROOM
    for number, line in enumerate(lines):
        spent += 2 * token_estimate(line) + 6
        if spent > MAX_TOKENS:
            return number
    return len(lines)


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
