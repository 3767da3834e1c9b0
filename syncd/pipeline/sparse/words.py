"""Texts to terms. Two analysers: the one of Chroma's own BM25, and one that also knows how identifiers are made.

A term is the hash of a stem. Both analysers read one run of word characters at a time and remember the runs they met.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import mmh3
import snowballstemmer  # pyright: ignore[reportMissingTypeStubs] - it has none

from syncd.pipeline.sparse.stopwords import STOPWORDS

MAX_TOKEN_LENGTH = 40
RUNS_REMEMBERED = 1 << 17

_RUN = re.compile(r"\w+")
_PIECE = re.compile(r"[A-Z]+(?=[A-Z][^\WA-Z\d_])|[A-Z]?[^\WA-Z\d_]+|[A-Z]+|\d+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")  # Japanese and Chinese scripts

Terms = Callable[[str], tuple[int, ...]]
"""The terms of one run of word characters."""


class Stemmer(Protocol):
    """What snowballstemmer makes."""

    def stemWord(self, word: str, /) -> str:  # noqa: N802 - its name
        """Return the stem of a lower-case word."""
        ...


class _OfThread(threading.local):
    """What each thread has of its own: a stemmer keeps state between calls, and texts are analysed in several threads."""

    def __init__(self) -> None:
        self.stemmer: Stemmer = snowballstemmer.stemmer("english")  # pyright: ignore[reportUnknownMemberType]


_own = _OfThread()


def runs(text: str) -> list[str]:
    """Return the runs of word characters in a text."""
    return _RUN.findall(text)


def spans(text: str, terms: Terms, wanted: frozenset[int]) -> list[tuple[int, int]]:
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
    stem = _own.stemmer.stemWord(token).strip()
    return (abs(mmh3.hash(stem, seed=0)),) if stem else ()
