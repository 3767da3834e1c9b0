"""What a Word document's styles and numbering say about a paragraph: heading level, list marker, code, quotation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
VAL = W + "val"
_HEADING = re.compile(r"heading\s*([1-9])$", re.I)
_CODE = re.compile(
    r"\b(source\s*code|code(\s*block)?|preformatted(\s*text)?|html preformatted|macro text|verbatim)$", re.I
)
_QUOTE = re.compile(r"^(intense )?quote$|^quotations?$|^block ?text$", re.I)
_MAX_CHAIN = 20


def value(parent: Element | None, *path: str) -> str | None:
    """Return the `val` at the end of `path` below `parent`; None when anything of it is missing."""
    for step in path:
        if parent is None:
            return None
        parent = parent.find(W + step)
    return None if parent is None else parent.get(VAL)


def is_on(properties: Element | None, name: str) -> bool:
    """Say whether a toggle property is set."""
    found = properties.find(W + name) if properties is not None else None
    return found is not None and found.get(VAL, "1") not in ("0", "false", "off", "none")


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a list: `text` is the pattern of its numbers, '%1.' or '%1.%2'."""

    bullet: bool
    text: str = ""
    start: int = 1


@dataclass(slots=True)
class Styles:
    """Paragraph styles by id and lists by number, with counters that run along as the document is read."""

    styles: dict[str, Element] = field(default_factory=dict[str, Element])
    levels: dict[str, dict[int, Level]] = field(default_factory=dict[str, dict[int, Level]])
    lists: dict[str, str] = field(default_factory=dict[str, str])
    _counts: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    default: str = ""

    @classmethod
    def load(cls, styles: Element | None, numbering: Element | None) -> Styles:
        """Read both parts; either may be missing."""
        loaded = cls()
        for style in styles.iter(W + "style") if styles is not None else ():
            identity = style.get(W + "styleId", "")
            loaded.styles[identity] = style
            if style.get(W + "type") == "paragraph" and style.get(W + "default") in ("1", "true"):
                loaded.default = identity
        if numbering is not None:
            loaded._load_numbering(numbering)
        return loaded

    def _load_numbering(self, numbering: Element) -> None:
        abstract = {
            found.get(W + "abstractNumId", ""): {
                int(level.get(W + "ilvl", "0")): _level(level) for level in found.iter(W + "lvl")
            }
            for found in numbering.findall(W + "abstractNum")
        }
        for number in numbering.findall(W + "num"):
            identity, base = number.get(W + "numId", ""), value(number, "abstractNumId") or ""
            levels = dict(abstract.get(base, {}))
            overrides = number.findall(W + "lvlOverride")
            for override in overrides:
                at, inner = int(override.get(W + "ilvl", "0")), override.find(W + "lvl")
                if inner is not None:
                    levels[at] = _level(inner)
            self.levels[identity] = levels
            # two lists made from one definition go on counting together unless they say otherwise
            self.lists[identity] = f"#{identity}" if overrides else base

    def chain(self, properties: Element | None) -> Iterator[Element]:
        """Yield a paragraph's own properties, then its style and what that is based on."""
        if properties is not None:
            yield properties
        identity = value(properties, "pStyle") or self.default
        for _ in range(_MAX_CHAIN):
            style = self.styles.get(identity)
            if style is None:
                return
            yield style
            identity = value(style, "basedOn") or ""

    def names(self, properties: Element | None) -> list[str]:
        """Return the names of the paragraph's style and its ancestors."""
        return [value(style, "name") or "" for style in self.chain(properties) if style.tag == W + "style"]

    def heading(self, properties: Element | None) -> int | None:
        """Return 0 for the title, 1 to 9 for headings, None for other text."""
        own = value(properties, "outlineLvl")
        if own is not None:
            return int(own) + 1 if own.isdigit() and int(own) < 9 else None
        for style in self.chain(properties):
            name = value(style, "name") or ""
            if name.lower() == "title":
                return 0
            if match := _HEADING.match(name):
                return int(match[1])
            level = value(style, "pPr", "outlineLvl")
            if level is not None:
                return int(level) + 1 if level.isdigit() and int(level) < 9 else None
        return None

    def is_code(self, properties: Element | None) -> bool:
        """Say whether the paragraph is a line of code."""
        return any(_CODE.search(name) for name in self.names(properties))

    def is_quote(self, properties: Element | None) -> bool:
        """Say whether the paragraph is a quotation."""
        return any(_QUOTE.match(name) for name in self.names(properties))

    def marker(self, properties: Element | None) -> tuple[int, str] | None:
        """Return (depth, marker) of a list item and count it: '-', '3.' or '- 1.2.'; None for other text."""
        found = next((n for style in self.chain(properties) if (n := _numbering(style)) is not None), None)
        if found is None:
            return None
        identity = value(found, "numId")
        depth = int(value(found, "ilvl") or 0)
        if identity in (None, "0") or depth > 8:
            return None
        level = self.levels.get(str(identity), {}).get(depth, Level(bullet=True))
        if level.bullet:
            return depth, "-"
        return depth, self._count(str(identity), depth, level)

    def _count(self, identity: str, depth: int, level: Level) -> str:
        key = self.lists.get(identity, identity)
        self._counts[key, depth] = self._counts.get((key, depth), level.start - 1) + 1
        for deeper in range(depth + 1, 9):
            self._counts.pop((key, deeper), None)
        if level.text.count("%") < 2:
            return f"{self._counts[key, depth]}."
        number = re.sub(r"%(\d)", lambda m: str(self._counts.get((key, int(m[1]) - 1), 1)), level.text)
        return f"- {number}"


def _numbering(style: Element) -> Element | None:
    return style.find(W + "numPr") if style.tag == W + "pPr" else style.find(f"{W}pPr/{W}numPr")


def _level(level: Element) -> Level:
    kind = value(level, "numFmt") or "decimal"
    start = value(level, "start") or "1"
    return Level(kind in ("bullet", "none"), value(level, "lvlText") or "", int(start) if start.isdigit() else 1)
