"""Hyphens at line ends: those that typesetting put there go, those of the word stay. The document itself is the dictionary."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice

BROKEN = "\ufffe"
"""What PDFium writes for a hyphen at a line's end and the line end behind it."""

_BREAK = re.compile(rf"([\w'\u2019-]{{0,100}}\w){BROKEN}(?=(\w[\w'\u2019]{{0,100}}))")
_BROKEN_WORD = re.compile(rf"[\w'\u2019-]{{0,100}}{BROKEN}[\w'\u2019-]{{0,100}}")
_AT_LINE_END = re.compile(r"(?<=\w)-\n(?=\w)")
_WORD = re.compile(r"\w[\w'\u2019]*(?:-[\w'\u2019]+)*")
_MAX_A_PAGE = 1_000
_MANY = 3
_MANY_SHARE = 0.03
"""Of all lines: texts that are not hyphenated have an eighth as many, those that are twice as many."""
_MIN_LETTERS = 4
"""Of both halves of a compound in a hyphenated text: a part of a hyphenated word is a word only where it is short."""
_MIN_BEFORE = 2
_MIN_BEHIND = 3
"""Typesetters leave no fewer letters of a word on either line: TeX's \\lefthyphenmin and \\righthyphenmin."""


class Hyphens:
    """Knows which words a group of pages writes with a hyphen."""

    def __init__(self, texts: Collection[str]) -> None:
        self._words: set[str] = set()
        breaks: set[tuple[str, str]] = set()
        lines = 0
        for text in texts:
            breaks |= _breaks(text)
            lines += text.count("\n") + text.count(BROKEN) + 1
            for word in _WORD.findall(_BROKEN_WORD.sub(" ", text).lower()):
                self._words |= {word, *word.split("-")}
        soft = sum((left + right).lower() in self._words for left, right in breaks)
        hard = sum(f"{left}-{right}".lower() in self._words for left, right in breaks)
        many = len(breaks) >= max(_MANY, _MANY_SHARE * lines)
        self._hyphenated = soft > hard or (soft == hard and many)

    def joined(self, text: str) -> str:
        """Return a text with its broken words whole."""
        whole = _BREAK.sub(lambda found: found[1] + ("-" if self._stays(found[1], found[2]) else ""), text)
        return whole.replace(BROKEN, "-")

    def mended(self, markdown: str, text: str) -> str:
        """Return a reading of `text` in which words that are broken there are written as they should be."""
        right: dict[str, str] = {}
        for before, after in islice(_breaks(text), _MAX_A_PAGE):
            whole = f"{before}-{after}" if self._stays(before, after) else before + after
            right |= {before + after: whole, f"{before}- {after}": whole}
        if not right:
            return markdown
        wrong = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(right)))})(?!\w)")
        return wrong.sub(lambda found: right[found[0]], markdown)

    def _stays(self, left: str, right: str) -> bool:
        """Say whether a word has its hyphen in the middle of a line, too."""
        whole, broken, last = (left + right).lower(), f"{left}-{right}".lower(), left.rpartition("-")[2]
        if whole in self._words or broken in self._words:
            return broken in self._words
        if not (last.isalpha() and right.isalpha()) or right[0].isupper() or (last.isupper() and len(last) > 1):
            return True
        if len(last) < _MIN_BEFORE or len(right) < _MIN_BEHIND:
            return True
        known = (last.lower() in self._words) + (right.lower() in self._words)
        return known == 2 and min(len(last), len(right)) >= _MIN_LETTERS if self._hyphenated else known > 0


def marked(text: str) -> str:
    """Return a text whose lines end with plain hyphens as PDFium would write it."""
    return _AT_LINE_END.sub(BROKEN, text)


def _breaks(text: str) -> set[tuple[str, str]]:
    return {(found[1], found[2]) for found in _BREAK.finditer(text)}
