"""What speaks for a chunk beside its words: what it defines, and where it stands. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache

from syncd.search.asked import QueryTerms, plain_name, terms_in

REMEMBERED = 1 << 14
_PART_OF_SEVERAL = 0.06
"""What one of several names in a sentence counts, against a query that is nothing but a name and asks where that is defined."""
_DEFINES = re.compile(
    r"(?:\b(?:class|interface|trait|struct|enum|union|record|object|protocol|module|defmodule|defprotocol|namespace|type|typedef"
    r"|func|function|fn|fun|def|defp|defmacro|macro_rules!|sub|extension)[ \t]{1,40}(?:\([^()\n]{0,80}\)[ \t]{0,8})?"
    r"|^(?:export )?(?:(?:pub|private|public|static|final) ){0,6}(?:const|let|var|val|static)[ \t]{1,40})"
    r"([^\W\d][\w.:]{0,120})",
    re.MULTILINE,
)


def defined_share(wanted: QueryTerms, text: str, symbol: str) -> float:
    """Return 1 where the chunk defines the symbol that the query is, less where it is one of several things the query names."""
    if not wanted.names:
        return 0.0
    plain = f"{text}\n{symbol}".replace("_", "").casefold()
    named = [name for name in wanted.names if name.casefold() in plain]
    if not named:
        return 0.0
    defined = defined_names(text) | {plain_name(symbol)}
    found = sum(defines(defined, name) for name in named) / len(wanted.names)
    return found if wanted.kind == "symbol" else _PART_OF_SEVERAL * found


def defines(defined: frozenset[str], name: str) -> bool:
    """Return whether a plain name is among those defined; one without a capital asks for either, as in editors' searches."""
    return name in defined or name.capitalize() in defined


def defined_names(text: str) -> frozenset[str]:
    """Return the names that a piece of code defines by a keyword of some language, as `plain_name` writes them."""
    return frozenset(plain_name(match.group(1)) for match in _DEFINES.finditer(text))


def symbol_share(terms: frozenset[str], symbol: str, scope: str) -> float:
    """Return the share of the query's words that are in the names of what the chunk defines and stands in."""
    return len(terms & _terms_of(f"{symbol} {scope}")) / len(terms) if terms else 0.0


def covered_shares(terms: frozenset[str], texts: Sequence[str]) -> list[float]:
    """Return the share of the query's words that each text has, rare ones among these texts first.

    A stem counts wherever its letters stand: cutting hundreds of texts into words takes longer than the search itself.
    """
    shortest = {term: term[:-1] if term.endswith("i") and len(term) > 3 else term for term in terms}
    plain = [text.casefold() for text in texts]
    found = [frozenset(term for term, stem in shortest.items() if stem in text) for text in plain]
    counts = Counter(term for some in found for term in some)
    weights = {term: math.log(1 + len(texts) / count) for term, count in counts.items()}
    total = sum(weights[term] for term in sorted(weights))
    return [sum(weights[term] for term in sorted(some)) / total if total else 0.0 for some in found]


class PathMatch:
    """How well paths answer a query, among those of its candidates: words that all of them have say nothing."""

    def __init__(self, terms: frozenset[str], keys: Collection[str]) -> None:
        self._terms = {key: _path_terms(key) for key in keys}
        counts = Counter(term for names, folders in self._terms.values() for term in names | folders)
        self._matched = {word: frozenset(term for term in terms if _matches(term, word)) for word in counts}
        self._weights: dict[str, float] = defaultdict(float)
        for word, found in self._matched.items():
            rarity = math.log((1 + len(keys) / counts[word]) / 2)
            for term in found:
                self._weights[term] = max(self._weights[term], rarity)
        self._total = sum(self._weights.values())
        self._shares = {key: self._share(*some) for key, some in self._terms.items()}

    def share(self, key: str) -> float:
        """Return the share of the query's words that the path has, rare ones first; less if its name has many others."""
        return self._shares[key]

    def _share(self, names: frozenset[str], folders: frozenset[str]) -> float:
        if not self._total:
            return 0.0
        by_name = {term for word in names for term in self._matched[word]}
        by_folder = {term for word in folders for term in self._matched[word]} - by_name
        precision = sum(bool(self._matched[word]) for word in names) / max(1, len(names))
        found = sum(self._weights[term] for term in by_name) * (1 + precision) / 2
        return (found + sum(self._weights[term] for term in by_folder) / 2) / self._total


@lru_cache(REMEMBERED)
def _terms_of(text: str) -> frozenset[str]:
    return frozenset(terms_in(text))


@lru_cache(REMEMBERED)
def _path_terms(key: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words of a file's name, without its suffixes, and those of its folders."""
    folders, _, name = key.rpartition("/")
    return _terms_of(name.lstrip(".").partition(".")[0]), _terms_of(folders)


def _matches(term: str, word: str) -> bool:
    """Return whether a word of a path is a word of the query, begins with it, has it inside, as `urldispatcher` does, or is its
    beginning, as `config` is of `configuration`.
    """
    return (
        term == word
        or (len(term) > 2 and word.startswith(term))
        or (len(term) > 3 and term in word)
        or (len(word) > 3 and term.startswith(word))
    )
