"""Tokens of a normalised text, and the terms by which each is found. A term is the hash of a folded stem.

- an identifier: its words, its numbers, and itself however it was spelt; a long run without words in it, such as a digest, only itself
- a number with points, such as 3.2.1: itself beside its parts; C++, F#, .NET: themselves beside the bare word
- a script without spaces: its pairs of neighbouring letters; the single ones for queries of one letter
- a word of a text in another language than English: its stem in that language; a query is too short to tell, and asks for the stems in all
- a stop word: itself, which counts where a query has nothing else, and in capitals (WHO, NOT IN) always.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

import mmh3

from syncd.pipeline.sparse.languages import CYRILLIC, ENGLISH, LANGUAGES_OF, LATIN, stem
from syncd.pipeline.sparse.normal import folded
from syncd.pipeline.sparse.scripts import COMBINING_MARKS, UNSPACED, UNSPACED_RUN, script_of
from syncd.pipeline.sparse.stopwords import STOPWORDS

REMEMBERED_TOKENS = 1 << 17
REMEMBERED_QUERY_TOKENS = 1 << 12
REMEMBERED_LENGTH = 40
"""Longer tokens are rarely met twice."""
STEMMED_LENGTH = 64
WORDLESS_LENGTH = 20
"""From this length on, pieces of less than `WORD_LENGTH` letters on average are those of digests and encodings, not words."""
WORD_LENGTH = 3

_WORD = rf"[^\W{UNSPACED}]+(?:(?![\0-\x7f])[{COMBINING_MARKS}][^\W{UNSPACED}]*)*"
_MARKED = r"(?:(?:\+\+|\#)(?![A-Za-z+#]))?"
_WORDS = re.compile(rf"{_WORD}{_MARKED}|(?![\0-\x7f])[{UNSPACED}](?:[{UNSPACED}]|[{COMBINING_MARKS}])*")
"""Runs of letters with their marks and digits, of scripts with spaces or of those without, and C++ and its like."""
_ASCII_WORDS = re.compile(rf"\w+{_MARKED}")
"""The same, sooner, where a text is ASCII."""
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_NAMES = re.compile(r"\.(?<![\w.)\]]\.)[A-Za-z]\w*+(?!\()")
""".NET and .gitignore, but no attribute or method."""

_LETTER = rf"(?:[^\WA-Z\d_]|(?![\0-\x7f])[{COMBINING_MARKS}])"
_PIECE = re.compile(rf"[A-Z]+(?=[A-Z]{_LETTER})|[A-Z]?{_LETTER}+|[A-Z]+|\d+")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_MARKED_LETTER = re.compile(f"(?s:.)[{COMBINING_MARKS}]*")


class Terms(NamedTuple):
    """The terms of a token: those that make up a text's length, and those by which it can be found beside them.

    What a document has besides: stop words, single letters of scripts without spaces, and what stands there in parts already.
    Queries have only stop words there.
    """

    counted: Sequence[int]
    beside: Sequence[int] = ()


def tokens(text: str) -> list[str]:
    """Return the tokens of a normalised text: its words in order, then its numbers and names with points."""
    words = (_ASCII_WORDS if text.isascii() else _WORDS).findall(text)
    if "." in text:
        words += [number for number in _NUMBERS.findall(text) if "." in number]
        words += _NAMES.findall(text)
    return words


def placed_tokens(text: str) -> Iterator[tuple[int, str]]:
    """Yield where each token of `tokens` begins, and the token."""
    for pattern in (_ASCII_WORDS if text.isascii() else _WORDS, _NUMBERS, _NAMES):
        for match in pattern.finditer(text):
            if pattern is not _NUMBERS or "." in match.group():
                yield match.start(), match.group()


def terms_of(found: Sequence[str], language: str) -> Iterable[Terms]:
    """Return the terms of each token of a document in `language`."""
    remembered = _remembered(language)
    if len(max(found, key=len, default="")) <= REMEMBERED_LENGTH:
        return map(remembered, found)
    return (remembered(token) if len(token) <= REMEMBERED_LENGTH else _terms(token, (language,)) for token in found)


def terms_asked(token: str) -> Terms:
    """Return the terms of a token of a query: its stems in every language, but no single letters where there are pairs."""
    return _remembered_asked(token) if len(token) <= REMEMBERED_LENGTH else _terms_asked(token)


def _terms_asked(token: str) -> Terms:
    if is_unspaced(token):
        return Terms(_terms(token, ()).counted)
    counted, beside = _terms(token, (ENGLISH, *LATIN, *CYRILLIC))
    return Terms(counted, beside) if token.isalpha() else Terms((*counted, *beside))


_remembered_asked = lru_cache(REMEMBERED_QUERY_TOKENS)(_terms_asked)
"""Stemming a word in all languages takes a fifth of a millisecond, and people ask in few words."""


def is_unspaced(token: str) -> bool:
    """Return whether a token is written in a script without spaces."""
    return _UNSPACED.match(token) is not None


class LetterRun(NamedTuple):
    """Letters of a token without spaces, and where; a single one counts only where it stands alone."""

    start: int
    end: int
    letters: str
    counted: bool

    @property
    def term(self) -> int:
        """The term they are found by."""
        return hashed(folded(self.letters))


def letter_runs(token: str) -> list[LetterRun]:
    """Return the letters, with their marks, of a token without spaces, and their pairs."""
    found: list[LetterRun] = []
    for run in UNSPACED_RUN.finditer(token):
        letters = [(m.start(), m.end(), m.group()) for m in _MARKED_LETTER.finditer(token, *run.span())]
        found += [LetterRun(*letter, len(letters) == 1) for letter in letters]
        found += [LetterRun(start, end, one + other, True) for (start, _, one), (_, end, other) in pairwise(letters)]
    return found


@lru_cache(REMEMBERED_TOKENS)
def hashed(term: str) -> int:
    """Return a term as it stands in vectors."""
    return abs(mmh3.hash(term, seed=0))


@cache
def _remembered(language: str) -> Callable[[str], Terms]:
    def remembered(token: str) -> Terms:
        return _terms(token, (language,))

    return lru_cache(REMEMBERED_TOKENS)(remembered)


def _terms(token: str, languages: Sequence[str]) -> Terms:
    if is_unspaced(token):
        parts = letter_runs(token)
        counted, beside = ([p.term for p in parts if p.counted is wanted] for wanted in (True, False))
        return Terms(tuple(counted), tuple(beside))
    if "." in token:
        return Terms((), (hashed(folded(token)),))
    bare = token.rstrip("+#")
    whole = (hashed(folded(token)),) if bare != token else ()
    words = words_of(bare)
    if len(words) == 1 and folded(words[0]) in STOPWORDS:
        counted, beside = _stop_word(bare)
        return Terms(counted, (*beside, *whole))
    counted = [term for word in words for term in _stems(word, languages if len(words) == 1 else (ENGLISH,))]
    counted += _stems("".join(words), (ENGLISH,)) if len(words) > 1 else []
    if words and not counted and folded("".join(words)) in STOPWORDS:
        # A stop word in pieces: a capital with an accent ends a word.
        counted, beside = _stop_word("".join(words))
        return Terms(counted, (*beside, *whole))
    return Terms(tuple(counted), whole)


def words_of(run: str) -> list[str]:
    """Return the words and numbers of an identifier, or what it consists of as one if they are no words."""
    names = run.split("_")
    pieces = [piece for name in names for piece in _PIECE.findall(name)]
    if not run.isascii():
        pieces = ["".join(some) for piece in pieces for _, some in groupby(piece, _Scripts())]
    if len(run) >= WORDLESS_LENGTH and len(run) < WORD_LENGTH * len(pieces):
        return ["".join(pieces)]
    return pieces


class _Scripts:
    """The script of each letter of a word in turn; marks, and what is used in all, belong to the letter before."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, letter: str) -> str:
        self._last = script_of(letter) or self._last
        return self._last


def _stop_word(word: str) -> Terms:
    stop = hashed(f"stop:{folded(word)}")
    return Terms((hashed(f"capitals:{folded(word)}"),) if len(word) > 1 and word.isupper() else (), (stop,))


def _stems(word: str, languages: Sequence[str]) -> list[int]:
    """Return the terms of one word, stop words within identifiers excepted."""
    plain = folded(word)
    if not plain or plain in STOPWORDS:
        return []
    if len(plain) > STEMMED_LENGTH:
        return [hashed(plain)]
    found: list[int] = []
    for language in languages:
        if language == ENGLISH or language not in LANGUAGES_OF.get(script_of(word[0]), ()):
            found.append(hashed(stem(plain).strip() if plain.isascii() else plain))
        else:
            accented = unicodedata.normalize("NFC", word.casefold())
            stems = dict.fromkeys([folded(stem(accented, language)), stem(plain, language)])
            found += [hashed(f"{language}:{one}") for one in stems]
    return list(dict.fromkeys(found))
