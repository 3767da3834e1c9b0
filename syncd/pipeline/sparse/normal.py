"""One spelling of everything that reads the same, for the index and for queries.

A text is normalised (NFKC, nothing invisible) before it is cut into words, keeping its case; a word is folded afterwards.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from functools import partial

from syncd.pipeline.sparse.scripts import CONTINUING, INVISIBLE, script_of

LONG_MARKS = 16
FOLDED_SCRIPTS = frozenset({"LATIN", "GREEK", "ARABIC", "HEBREW"})
"""Scripts whose marks say how a letter sounds; in others (Devanagari, Cyrillic й) they make another letter."""

_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
_CLUSTER = re.compile(f"(?s:.)[{CONTINUING}]*")
_COMBINING = re.compile(f"[{CONTINUING}]{{{LONG_MARKS},}}")
_SPELT_OUT = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t"}
    | {"\u0131": "i", "\u0451": "\u0435", "\u0640": ""}
)
"""Letters that decompose into nothing simpler, as Lucene's folding has them, i without its dot among them; Russian ё; Arabic's tatweel, which is no letter."""


def normalised(text: str) -> str:
    """Return a text in NFKC without invisible characters; twice is the same, and canonically equal texts give the same."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _COMBINING.sub(_in_order, _INVISIBLE.sub("", text)))


def folded(word: str) -> str:
    """Return a normalised word without case, with ASCII digits, and without accents where these are optional."""
    if word.isascii():
        return word.lower()
    cased = unicodedata.normalize("NFKC", word.casefold())
    if cased.isascii():
        return cased
    kept: list[str] = []
    base = ""
    for character in unicodedata.normalize("NFD", cased):
        if not unicodedata.combining(character):
            base = character
        elif script_of(base) in FOLDED_SCRIPTS:
            continue
        kept.append(character)
    text = unicodedata.normalize("NFC", "".join(kept)).translate(_SPELT_OUT)
    return "".join(map(_digit, text))


def clusters(text: str) -> list[tuple[int, int, str]]:
    """Return the pieces of a text that normalise independently of each other: (start, end, normalised piece)."""
    return [(*match.span(), normalised(match.group())) for match in _CLUSTER.finditer(text)]


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _in_order(marks: re.Match[str]) -> str:
    """Return a long sequence of marks in canonical order, which normalisation, sorting by insertion, would need quadratic time for."""
    decomposed = "".join(map(partial(unicodedata.normalize, "NFKD"), marks.group()))
    runs = itertools.groupby(decomposed, lambda mark: unicodedata.combining(mark) > 0)
    return "".join(character for _, run in runs for character in sorted(run, key=unicodedata.combining))
