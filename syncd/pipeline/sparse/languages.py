"""The language of a text, told by its commonest words, and stems in it.

English is the default: code, tables and short texts give no other sign.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

ENGLISH = "english"

FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        ENGLISH: "the of and to is that for it with as was on be by this are or from at which not have but an has you if",
        "german": "der die das und ist nicht ein eine einen einer den dem des mit auf für von zu im sich auch wird werden oder bei wie sind",
        "french": "le la les des et est une un dans pour que qui pas sur avec au aux du ce cette sont il elle par plus ou",
        "spanish": "el los las una y es en por con para que se no del al como más su lo son este esta pero o",
        "italian": "il lo gli la le di che è per una un non si con del della dei delle nel alla sono come più anche da",
        "portuguese": "o os as um uma e é de da do das dos em no na nos que não com para por se ao mais como são",
        "dutch": "de het een en van is niet dat op te zijn met voor die aan er om ook als bij wordt worden naar deze",
        "swedish": "och att det som en är på för med av den till inte har ett om de från kan eller när ska under efter",
        "danish": "og at det som en er på for med af den til ikke har et om de fra kan eller når skal ved blev efter",
        "norwegian": "og at det som en er på for med av den til ikke har et om de fra kan eller når skal ved ble etter",
        "finnish": "ja on ei se että kun tai ovat joka sen jos mutta myös voi hän niin kuin ole oli mukaan kanssa jotka",
        "russian": "и в не на что с как по это для из от к или при его но же так если быть также все",  # noqa: RUF001 - Russian
    }.items()
}
LATIN = tuple(language for language in FUNCTION_WORDS if language not in (ENGLISH, "russian"))
CYRILLIC = ("russian",)
LANGUAGES_OF: Mapping[str, Sequence[str]] = {"LATIN": LATIN, "CYRILLIC": CYRILLIC}
"""The languages, beside English, that words of a script are stemmed in."""

_FOREIGN = frozenset[str]().union(*FUNCTION_WORDS.values()) - FUNCTION_WORDS[ENGLISH]
MIN_WORDS = 4
MIN_SHARE = 0.12
MIN_LEAD = 1.25


class Stemmer(Protocol):
    """What snowballstemmer makes."""

    def stemWord(self, word: str, /) -> str:  # noqa: N802 - its name
        """Return the stem of a lower-case word."""
        ...


class _OfThread(threading.local):
    """What each thread has of its own: a stemmer keeps state between calls, and texts are analysed in several threads."""

    def __init__(self) -> None:
        self.stemmers: dict[str, Stemmer] = {}


_own = _OfThread()


def stem(word: str, language: str = ENGLISH) -> str:
    """Return a lower-case word's stem as Snowball has it."""
    if language not in _own.stemmers:
        # Forty modules, which a daemon need not load before it meets a text.
        import snowballstemmer  # pyright: ignore[reportMissingTypeStubs] - it has none

        _own.stemmers[language] = snowballstemmer.stemmer(language)  # pyright: ignore[reportUnknownMemberType]
    return _own.stemmers[language].stemWord(word)


def language_of(tokens: Sequence[str]) -> str:
    """Return the language of a text's words: English unless the commonest words of another are clearly more."""
    if len(_FOREIGN.intersection(tokens)) < MIN_WORDS:
        return ENGLISH
    counts = Counter(tokens)
    votes = {name: sum(counts[word] for word in words) for name, words in FUNCTION_WORDS.items()}
    language = max(votes, key=votes.__getitem__)
    clear = votes[language] >= max(MIN_SHARE * len(tokens), MIN_LEAD * votes[ENGLISH])
    return language if clear else ENGLISH
