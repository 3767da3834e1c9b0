"""As many hits as a limit of tokens has room for, best first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syncd.search.passages import leading_lines, token_estimate
from syncd.search.query import SearchHit, moved

HEAD_TOKENS = 12
"""What a hit takes beside its text and its place: its lines, its score, and what sets it apart from the next."""


def within_budget(hits: Sequence[SearchHit], max_tokens: int) -> list[SearchHit]:
    """Return the hits that fit, by `token_estimate` of their texts and places; the last one may be cut at the end of a line.

    Of an expanded hit that has to be cut, what stands before the chunk's own text goes first. The first hit is
    always there, as much of it as fits.
    """
    kept: list[SearchHit] = []
    left = max_tokens
    for hit in hits:
        left -= HEAD_TOKENS + token_estimate(_place(hit))
        tokens = token_estimate(hit.text)
        if tokens <= left:
            kept.append(hit)
            left -= tokens
            continue
        cut = cut_to_tokens(hit, left, at_any_price=not kept)
        return [*kept, cut] if cut.text else kept
    return kept


def cut_to_tokens(hit: SearchHit, max_tokens: int, *, at_any_price: bool = False) -> SearchHit:
    """Return a hit with the lines from its own first one on that fit; `at_any_price`: a first line that is too long is cut as well."""
    text = leading_lines(hit.text[hit.own_start :], max_tokens, at_any_price=at_any_price)
    highlights = moved(hit.highlights, -hit.own_start, len(text))
    lines = hit.span
    if lines is not None and hit.text.rstrip("\n").count("\n") == lines[1] - lines[0]:
        first = lines[0] + hit.text.count("\n", 0, hit.own_start)
        lines = first, first + text.rstrip("\n").count("\n")
    return replace(hit, text=text, lines=lines, own_start=0, highlights=highlights, cut=True)


def _place(hit: SearchHit) -> str:
    metadata = hit.metadata
    name = metadata.get("symbol") or metadata.get("heading_path") or ""
    return f"{metadata.get('key', hit.id)} {name}"
