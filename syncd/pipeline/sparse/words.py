"""Runs of word characters to terms, as Chroma's own BM25 makes them, and as the first version of `syncd/Code-BM25` did.

A term is the hash of a stem. The first version is kept for collections whose vectors have not been computed again yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import mmh3

from syncd.pipeline.sparse.languages import stem
from syncd.pipeline.sparse.stopwords import STOPWORDS

MAX_TOKEN_LENGTH = 40
RUNS_REMEMBERED = 1 << 17

_RUN = re.compile(r"\w+")
_PIECE = re.compile(r"[A-Z]+(?=[A-Z][^\WA-Z\d_])|[A-Z]?[^\WA-Z\d_]+|[A-Z]+|\d+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")  # Japanese and Chinese scripts

RunTerms = Callable[[str], tuple[int, ...]]
"""The terms of one run of word characters."""


def runs(text: str) -> list[str]:
    """Return the runs of word characters in a text."""
    return _RUN.findall(text)


def term_spans(text: str, terms: RunTerms, wanted: frozenset[int]) -> list[tuple[int, int]]:
    """Return (start, end) of every run in `text` that has one of the `wanted` terms, in code points."""
    return [match.span() for match in _RUN.finditer(text) if not wanted.isdisjoint(terms(match.group()))]


@lru_cache(RUNS_REMEMBERED)
def chroma_terms(run: str) -> tuple[int, ...]:
    """Return the term of a run as chromadb's `Bm25Tokenizer` makes it (1.5.9): a stop word or a long run has none."""
    return stemmed(run.lower())


@lru_cache(RUNS_REMEMBERED)
def code_terms(run: str) -> tuple[int, ...]:
    """Return the terms of an identifier: its words, its numbers, and itself however it was spelt.

    `getOrCreateCollection`, `GetOrCreateCollection` and `get_or_create_collection` have the same terms: get, create,
    collection and the whole; a plain word has the one it has in Chroma's BM25. Scripts without spaces give pairs.
    """
    pieces = [piece for name in run.split("_") if len(name) <= MAX_TOKEN_LENGTH for piece in _PIECE.findall(name)]
    words = [word for piece in pieces for word in unspaced(piece)]
    terms = [term for word in words for term in stemmed(word.lower())]
    if len(words) > 1 and not _UNSPACED.search(run):
        terms += stemmed("".join(words).lower())
    return tuple(terms)


def unspaced(piece: str) -> list[str]:
    """Return a piece as one word, or its pairs of neighbours where its script puts no spaces between words."""
    if not _UNSPACED.fullmatch(piece) or len(piece) < 2:
        return [piece]
    return [piece[i : i + 2] for i in range(len(piece) - 1)]


@lru_cache(RUNS_REMEMBERED)
def stemmed(token: str) -> tuple[int, ...]:
    """Return the term of one lower-case token, if it has one."""
    if token in STOPWORDS or len(token) > MAX_TOKEN_LENGTH:
        return ()
    found = stem(token).strip()
    return (abs(mmh3.hash(found, seed=0)),) if found else ()
