"""Texts to terms, for documents and for queries alike: the analyser of `syncd/Code-BM25`. A text is normalised first, then cut into tokens."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.pipeline.sparse.languages import language_of
from syncd.pipeline.sparse.normal import clusters, normalised
from syncd.pipeline.sparse.tokens import (
    Terms,
    is_unspaced,
    letter_runs,
    placed_tokens,
    terms_asked,
    terms_of,
    tokens,
)

ANALYSER_VERSION = 2
"""Raised whenever a text may get other terms: stored vectors are then computed again from the stored texts."""


def document_terms(text: str) -> Terms:
    """Return the terms of a document's text."""
    found = tokens(normalised(text))
    language = language_of(found)
    counted: list[int] = []
    beside: list[int] = []
    for some, others in terms_of(found, language):
        counted += some
        if others:
            beside += others
    return Terms(counted, beside)


def query_terms(text: str) -> Sequence[int]:
    """Return the terms of a query; its stop words count if it has nothing else."""
    found = [terms_asked(token) for token in tokens(normalised(text))]
    if any(counted and not beside for counted, beside in found):
        return [term for counted, _ in found for term in counted]
    return [term for terms in found for part in terms for term in part]


def spans(text: str, wanted: frozenset[int]) -> list[tuple[int, int]]:
    """Return (start, end) of every word of a document's text with one of the `wanted` terms, in code points of the text."""
    if text.isascii():
        return _merged(_spans_in(text, wanted))
    pieces = clusters(text)
    places = [(start, end) for start, end, piece in pieces for _ in piece]
    found = _spans_in("".join(piece for _, _, piece in pieces), wanted)
    return _merged([(places[start][0], places[end - 1][1]) for start, end in found])


def _spans_in(plain: str, wanted: frozenset[int]) -> list[tuple[int, int]]:
    """Return the places of the `wanted` terms in a normalised text, in any order."""
    placed = list(placed_tokens(plain))
    found = [token for _, token in placed]
    places: list[tuple[int, int]] = []
    for (first, token), terms in zip(placed, terms_of(found, language_of(found)), strict=True):
        if wanted.isdisjoint(terms.counted) and wanted.isdisjoint(terms.beside):
            continue
        if is_unspaced(token):
            places += [(first + part.start, first + part.end) for part in letter_runs(token) if part.term in wanted]
        else:
            places.append((first, first + len(token)))
    return places


def _merged(found: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
