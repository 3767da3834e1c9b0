"""The numbers of a Word document's lists, clauses and headings, as its reader sees them (ECMA-376 part 1, 17.9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from syncd.pipeline.parse.docx_xml import W, value

MAX_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"),
    (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a list: `text` is the pattern of its numbers, '%1.' or 'Article %1', `kind` how they are written."""

    kind: str
    text: str = ""
    start: int = 1
    style: str = ""
    """The paragraph style that is numbered by it."""
    is_legal: bool = False
    """Whether numbers of outer levels are written in digits, however these write them."""
    restarts_after: int = MAX_LEVELS
    """How many of the outer levels begin it anew: 0 for none."""

    @property
    def is_bullet(self) -> bool:
        """Whether it has no numbers."""
        return self.kind == "bullet" or not self.text.strip()


@dataclass(slots=True)
class ListNumbering:
    """Lists by number, with counters that run along as the document is read."""

    levels: dict[str, dict[int, Level]] = field(default_factory=dict[str, dict[int, Level]])
    _keys: dict[str, str] = field(default_factory=dict[str, str])
    """Which lists count together: those made from one definition."""
    _restarts: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Which levels a list begins anew when it is first met; afterwards, all that count together go on from there."""
    _counts: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])

    @classmethod
    def load(cls, root: Element | None) -> ListNumbering:
        """Read the part `numbering.xml`, which may be missing."""
        loaded = cls()
        if root is None:
            return loaded
        definitions = {
            found.get(W + "abstractNumId", ""): {
                _number(level.get(W + "ilvl")): _level(level) for level in found.iter(W + "lvl")
            }
            for found in root.findall(W + "abstractNum")
        }
        for number in root.findall(W + "num"):
            identity, base = number.get(W + "numId", ""), value(number, "abstractNumId") or ""
            overrides = number.findall(W + "lvlOverride")
            loaded.levels[identity] = _overridden(definitions.get(base, {}), overrides)
            loaded._keys[identity] = base
            loaded._restarts[identity] = [
                _number(override.get(W + "ilvl"))
                for override in overrides
                if value(override, "startOverride") is not None
            ]
        return loaded

    def label(self, identity: str, depth: int) -> str | None:
        """Count a paragraph and return its number as it is written, '' for a bullet; None where there is no such list."""
        level = self.levels.get(identity, {}).get(depth)
        if level is None or depth >= MAX_LEVELS:
            return None
        key = self._keys.get(identity, identity)
        for begun in self._restarts.pop(identity, ()):
            self._counts.pop((key, begun), None)
        self._counts[key, depth] = self._counts.get((key, depth), level.start - 1) + 1
        for deeper, inner in self.levels[identity].items():
            if deeper > depth and depth < inner.restarts_after:
                self._counts.pop((key, deeper), None)
        if level.is_bullet:
            return ""
        return _PLACE.sub(lambda found: self._written(key, identity, int(found[1]) - 1, level), level.text).strip()

    def depth_of_style(self, identity: str, style: str) -> int | None:
        """Return the level that numbers a paragraph style, or None."""
        return next((depth for depth, level in self.levels.get(identity, {}).items() if level.style == style), None)

    def _written(self, key: str, identity: str, depth: int, level: Level) -> str:
        own = self.levels[identity].get(depth, level)
        count = self._counts.setdefault((key, depth), own.start)
        return written(count, "decimal" if level.is_legal else own.kind)


def written(count: int, kind: str) -> str:
    """Return a number as a list's format writes it; in digits where that is not one of the usual ones."""
    match kind:
        case "lowerLetter" | "upperLetter":
            # After z comes aa, then bb.
            text = chr(97 + (count - 1) % 26) * min((count - 1) // 26 + 1, 9) if count > 0 else str(count)
        case "lowerRoman" | "upperRoman":
            text = _roman(count)
        case "decimalZero":
            return f"{count:02d}"
        case "none":
            return ""
        case _:
            return str(count)
    return text.upper() if kind.startswith("upper") else text


def _roman(count: int) -> str:
    if not 0 < count < 4000:
        return str(count)
    text = ""
    for size, letters in _ROMAN:
        text += letters * (count // size)
        count %= size
    return text


def _overridden(levels: Mapping[int, Level], overrides: list[Element]) -> dict[int, Level]:
    found = dict(levels)
    for override in overrides:
        at, inner, start = _number(override.get(W + "ilvl")), override.find(W + "lvl"), value(override, "startOverride")
        if inner is not None:
            found[at] = _level(inner)
        if start is not None and at in found:
            found[at] = replace(found[at], start=_number(start))
    return found


def _level(level: Element) -> Level:
    return Level(
        value(level, "numFmt") or "decimal",
        value(level, "lvlText") or "",
        _number(value(level, "start"), 1),
        value(level, "pStyle") or "",
        level.find(W + "isLgl") is not None,
        _number(value(level, "lvlRestart"), MAX_LEVELS),
    )


def _number(text: str | None, otherwise: int = 0) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else otherwise
