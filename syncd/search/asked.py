"""What a query asks for: its words, the names in it, and whether it is a symbol, a path, an error message or plain words. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from syncd.pipeline.sparse.languages import stem
from syncd.pipeline.sparse.stopwords import STOPWORDS
from syncd.pipeline.sparse.tokens import words_of

QueryKind = Literal["symbol", "path", "error", "words"]

MAX_NAMES = 8
LOOKED_AT_CHARACTERS = 1000
"""Of a query, to tell whether it is an error message: looking on from each word takes quadratic time."""
_RUN = re.compile(r"\w+")
_TOKEN = re.compile(r"\S+")
_NAME = re.compile(r"[^\W\d]\w*(?:(?:\.|::|->|#)[^\W\d]\w*)*(?:\(\))?")
_LOOKS_MADE = re.compile(r"_|[a-z\d][A-Z]|[A-Z]{2}[a-z]|::|->|#|\(\)|\w\.\w")
_PATH = re.compile(r"(?=\S*[\w)\]])[\w.@~()\[\]-]*/[\w./@()\[\]-]+|[\w-]+\.[a-z]{1,5}(?::\d+)?")
_ERRORS = frozenset(["error", "exception", "panic", "traceback", "fatal", "undefined", "segfault", "errno"])
_CODE = re.compile(r"ERR_\w+|E[A-Z]{4,}")


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """A query, taken apart."""

    kind: QueryKind
    terms: frozenset[str]
    """The stems of its words and of the parts of its identifiers; stop words only where it has nothing else."""
    names: Sequence[str]
    """What it may name, without qualifiers, as `plain_name` writes it."""


def asked(query: str) -> QueryTerms:
    """Return what a query asks for."""
    names = [match.group() for match in _NAME.finditer(query)]
    kind = query_kind(query)
    made = [name for name in names if kind == "symbol" or _LOOKS_MADE.search(name) or name[0].isupper()]
    plain = dict.fromkeys(plain_name(name) for name in made)
    return QueryTerms(kind, frozenset(terms_in(query)), list(plain)[:MAX_NAMES])


def query_kind(query: str) -> QueryKind:
    """Return what a query looks like. One word is a symbol: who types one alone looks for what has that name."""
    words = _TOKEN.findall(query)
    if len(words) == 1:
        return "path" if _PATH.fullmatch(query.strip()) else "symbol"
    return "error" if is_error(query[:LOOKED_AT_CHARACTERS]) else "words"


def is_error(query: str) -> bool:
    """Return whether a line names an error and has a colon or a quotation mark after it."""
    for run in _RUN.finditer(query):
        word = run.group()
        named = word[0].isupper() and word.endswith(("Error", "Exception", "Warning"))
        if named or word in _ERRORS or _CODE.fullmatch(word):
            rest = query[run.end() :].partition("\n")[0]
            if any(mark in rest for mark in ":'\"`"):
                return True
    return False


def plain_name(name: str) -> str:
    """Return a name's last part as all its spellings have it: `Store.getOrCreate()` and `get_or_create` are one.

    Only a capital at its beginning is kept, since that tells a type from a function: `FromRequest` is not `from_request`.
    """
    last = re.split(r"\.|::|->|#", name.removesuffix("()"))[-1].replace("_", "")
    return last.capitalize() if last[:1].isupper() else last.casefold()


def terms_in(text: str) -> list[str]:
    """Return the stems of a text's words and identifiers' parts, in order; stop words only where there is nothing else."""
    words = [word.casefold() for run in _RUN.findall(text) for word in words_of(run)]
    return [stemmed_word(word) for word in words if word not in STOPWORDS] or [stemmed_word(word) for word in words]


@lru_cache(1 << 15)
def stemmed_word(word: str) -> str:
    """Return the English stem of a word in lower case."""
    return stem(word) if word.isascii() else word
