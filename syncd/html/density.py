"""The second opinion on what a page's content is: trafilatura's text densities, taken as a choice among the page's own elements.

trafilatura's own output loses headings, code, tables, links and fragments; what it chose is therefore looked up in the page.
A module of its own because importing trafilatura costs half a second and 40 MB, which most sites never need.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import TypeGuard

import turbohtml
from turbohtml import Element, Node

if find_spec("babel") is None:
    # Of what trafilatura imports, courlan needs its 36 MB to tell in which language a link is, which is never asked here.
    sys.modules["babel"] = _babel = ModuleType("babel")
    vars(_babel).update(Locale=None, UnknownLocaleError=LookupError)

import trafilatura

BLOCK_TAGS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
HEADING_TAGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
WHOLE = frozenset(("pre", "table", "dl"))
"""Elements that are kept or dropped as one: parts of them mean little."""
LOOSE_CHARS = 30
"""A longer text may also be part of a chosen one; a shorter one must be chosen as it stands."""
MIN_WHOLE_SHARE = 0.3
MIN_FOUND_SHARE = 0.85
"""When less of the chosen text is found in the page, it came from elsewhere: from scripts, or joined across elements."""
SPACE = re.compile(r"\s+")


def main_fragment(data: bytes, url: str) -> Element | None:
    """Return the main content as trafilatura gives it, or None where it finds nothing."""
    html = trafilatura.extract(
        data,
        url=url,
        output_format="html",
        include_comments=True,
        include_tables=True,
        include_links=True,
        include_formatting=True,
    )
    return turbohtml.parse(html, positions=False).select_one("body") if html else None


def narrow(body: Element, chosen: Element) -> bool:
    """Remove from `body` what `chosen` does not have; return whether most of the chosen text was found there."""
    choice = Choice(chosen)
    found_chars = choice.keep(body)
    return found_chars >= MIN_FOUND_SHARE * len(choice.text)


class Choice:
    """The chosen texts, without white space."""

    def __init__(self, chosen: Element) -> None:
        self.text = squeezed(chosen.text)
        self._blocks = {squeezed(block.text) for block in (chosen, *chosen.select("*"))}

    def holds(self, text: str) -> bool:
        """Return whether `text` was chosen."""
        return text in self._blocks or (len(text) >= LOOSE_CHARS and text in self.text)

    def keep(self, element: Element) -> int:
        """Keep the chosen parts of `element`, and headings that lead to them; return how many characters were kept."""
        kept = 0
        waiting: list[Element] = []
        for part in block_parts(element):
            if len(part) == 1 and is_heading(part[0]) and not self.holds(squeezed(part[0].text)):
                # Whether it stays is decided by what comes next.
                waiting.append(part[0])
                continue
            if here := self._keep_part(part):
                waiting = []
            kept += here
        for heading in waiting:
            heading.decompose()
        return kept

    def _keep_part(self, part: list[Node]) -> int:
        """Keep a block or a run of inline nodes as far as it was chosen; return how many characters were."""
        text = squeezed("".join(node.text for node in part))
        if not text:
            return 0
        kept = 0
        block = part[0] if len(part) == 1 else None
        if isinstance(block, Element) and block.tag in WHOLE:
            kept = len(text) if self._share(block) >= MIN_WHOLE_SHARE else 0
        elif isinstance(block, Element) and holds_blocks(block):
            kept = self.keep(block)
        elif self.holds(text):
            kept = len(text)
        if not kept:
            for node in part:
                node.decompose()
        return kept

    def _share(self, element: Element) -> float:
        """Return which share of the element's pieces was chosen."""
        pieces = [text for one in element.select("td,th,dt,dd") if (text := squeezed(one.text))]
        pieces = pieces or [text for line in element.text.splitlines() if (text := squeezed(line))]
        return sum(piece in self.text for piece in pieces) / max(1, len(pieces))


def block_parts(element: Element) -> Iterator[list[Node]]:
    """Yield the children that are or hold blocks, one by one, and the runs of text between them."""
    run: list[Node] = []
    for child in list(element.children):
        if isinstance(child, Element) and (child.tag in BLOCK_TAGS or holds_blocks(child)):
            if run:
                yield run
            yield [child]
            run = []
        else:
            run.append(child)
    if run:
        yield run


def holds_blocks(element: Element) -> bool:
    """Return whether there are blocks inside `element`."""
    return any(inner.tag in BLOCK_TAGS for inner in element.select("*"))


def is_heading(node: Node) -> TypeGuard[Element]:
    """Return whether `node` is a heading that says something."""
    return isinstance(node, Element) and node.tag in HEADING_TAGS and bool(squeezed(node.text))


def squeezed(text: str) -> str:
    """Return `text` without white space."""
    return SPACE.sub("", text)
