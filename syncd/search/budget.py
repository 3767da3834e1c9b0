"""As many hits as a limit of tokens has room for, best first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syncd.search.passages import leading_lines, token_estimate
from syncd.search.query import SearchHit

HEAD_TOKENS = 12
"""What a hit takes beside its text and its place: its lines, its score, and what sets it apart from the next."""


def within_budget(hits: Sequence[SearchHit], max_tokens: int) -> list[SearchHit]:
    """Return the hits that fit, by `token_estimate` of their texts and places; the last one may be cut at the end of a line.

    The first hit is always there, as much of it as fits.
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
    """Return a hit with its first lines, as many as fit; `at_any_price`: a first line that is too long is cut as well."""
    text = leading_lines(hit.text, max_tokens, at_any_price=at_any_price)
    first, last = _lines(hit)
    if first is None or last is None or hit.text.rstrip("\n").count("\n") != last - first:
        return replace(hit, text=text, cut=True)
    return replace(hit, text=text, lines=(first, first + text.rstrip("\n").count("\n")), cut=True)


def _lines(hit: SearchHit) -> tuple[int | None, int | None]:
    if hit.lines is not None:
        return hit.lines
    first, last = hit.metadata.get("start_line"), hit.metadata.get("end_line")
    return (first, last) if isinstance(first, int) and isinstance(last, int) else (None, None)


def _place(hit: SearchHit) -> str:
    metadata = hit.metadata
    name = metadata.get("symbol") or metadata.get("heading_path") or ""
    return f"{metadata.get('key', hit.id)} {name}"
