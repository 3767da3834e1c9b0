"""Which characters a word is made of: marks, what is invisible, and the scripts that put no spaces between words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LAST_SEARCHED = 0x1FFFF
"""Beyond it stand ideographs, which are no marks, and tags and selectors, all of them invisible."""


def class_of(characters: Iterable[str]) -> str:
    """Return characters, in ascending order, as the inside of a regular expression's class."""
    ranges: list[list[int]] = []
    for point in map(ord, characters):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


def _of_category(prefix: str) -> str:
    """Return the characters whose category in Unicode begins so as the inside of a class. None of them is kept: that is 17 MB."""
    return class_of(c for c in map(chr, range(LAST_SEARCHED + 1)) if unicodedata.category(c).startswith(prefix))


COMBINING_MARKS = _of_category("M")
"""Vowel signs, points and accents: parts of a word, though `\\w` does not say so."""

INVISIBLE = (
    _of_category("Cf") + "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff"
)
"""Soft hyphens, zero-width spaces and joiners, directions, variation selectors and fillers (Unicode's Default_Ignorable_Code_Point)."""

CONTINUING = COMBINING_MARKS + INVISIBLE + "\u1160-\u11ff\u3131-\u318e\ud7b0-\ud7fb\uff9e-\uffdc"
"""What normalisation may join to the character before: marks, what is left out between, letters of Hangul, voicing of half-width kana."""

_UNSPACED_SCRIPTS = {
    "Han and kana": "\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U000323af",
    "Hangul": "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb",
    "Thai": "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46",
    "Lao": "\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf",
    "Myanmar": "\u1000-\u102a\u103f\u1050-\u1055\u105a-\u105d\u1061\u1065\u1066\u106e-\u1070\u1075-\u1081\u108e\ua9e0-\ua9e4\ua9e6-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa76\uaa7a\uaa7e\uaa7f",
    "Khmer": "\u1780-\u17b3\u17d7\u17dc",
}
"""Letters of scripts without spaces between words, and of Hangul, whose words run on into their endings. Japanese mixes Han and kana within words."""

UNSPACED = "".join(_UNSPACED_SCRIPTS.values())

UNSPACED_RUN = re.compile(
    "|".join(f"[{letters}][{letters}{COMBINING_MARKS}]*" for letters in _UNSPACED_SCRIPTS.values())
)
"""A run of one such script within letters of several."""


@lru_cache(1 << 12)
def script_of(letter: str) -> str:
    """Return the script of a letter, as its name in Unicode begins; "" for what is used in all scripts, such as digits."""
    if not letter.isalpha():
        return ""
    return unicodedata.name(letter, "").partition(" ")[0]
