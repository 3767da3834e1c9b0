"""What a Word document's styles and numbering say about a paragraph: heading level, list marker, code, quotation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from syncd.pipeline.parse.docx_numbering import MAX_LEVELS, ListNumbering
from syncd.pipeline.parse.docx_xml import W, value

_HEADING = re.compile(r"heading\s*([1-9])$", re.I)
_CODE = re.compile(
    r"\b(source\s*code|code(\s*block)?|preformatted(\s*text)?|html preformatted|macro text|verbatim)$", re.I
)
_QUOTE = re.compile(r"^(intense )?quote$|^quotations?$|^block ?text$", re.I)
_MAX_CHAIN = 20


@dataclass(slots=True)
class Styles:
    """Paragraph styles by id, and the numbering, which counts along as the document is read."""

    styles: dict[str, Element] = field(default_factory=dict[str, Element])
    numbering: ListNumbering = field(default_factory=ListNumbering)
    default: str = ""

    @classmethod
    def load(cls, styles: Element | None, numbering: Element | None) -> Styles:
        """Read both parts; either may be missing."""
        loaded = cls(numbering=ListNumbering.load(numbering))
        for style in styles.iter(W + "style") if styles is not None else ():
            identity = style.get(W + "styleId", "")
            loaded.styles[identity] = style
            if style.get(W + "type") == "paragraph" and style.get(W + "default") in ("1", "true"):
                loaded.default = identity
        return loaded

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

    def number(self, properties: Element | None) -> tuple[int, str] | None:
        """Return (depth, number) of a numbered paragraph and count it; '' is a bullet, None that it is not numbered."""
        identity: str | None = None
        depth: int | None = None
        for style in self.chain(properties):
            found = style.find(W + "numPr") if style.tag == W + "pPr" else style.find(f"{W}pPr/{W}numPr")
            if found is None:
                continue
            level = value(found, "ilvl")
            depth = int(level) if depth is None and level is not None and level.isdigit() else depth
            identity = identity or value(found, "numId")
            if identity is None:
                continue
            if depth is None and style.tag == W + "style":
                depth = self.numbering.depth_of_style(identity, style.get(W + "styleId", ""))
            break
        if identity in (None, "0") or (depth or 0) >= MAX_LEVELS:
            return None
        label = self.numbering.label(str(identity), depth or 0)
        return depth or 0, label or ""
