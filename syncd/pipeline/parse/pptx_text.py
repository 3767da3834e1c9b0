"""Text bodies of slides: which paragraphs are list items, said by the shape, its layout or the master."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Literal
from xml.etree.ElementTree import Element

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.omml import M, to_latex

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

Line = tuple[tuple[int, bool] | Literal["code"] | None, str]
"""(depth, numbered) of a list item, 'code' where all of it is set in a typewriter's letters, or None; and its text."""

_TYPEWRITER = re.compile(r"mono|courier|consolas|menlo|source code|lucida console|fira code", re.I)


def placeholder(shape: Element) -> tuple[str | None, str]:
    """Return the kind of placeholder a shape is ('title', 'body', 'obj', … or None) and its number."""
    found = next((node for node in shape.iter(P + "ph")), None) if shape.tag != A + "tc" else None
    return (None, "") if found is None else (found.get("type", "obj"), found.get("idx", ""))


class Bullets:
    """Reads the text bodies of one slide: where bullets come from, through its layout and master; where its `links` lead, by id."""

    def __init__(self, layout: Element | None, master: Element | None, links: Mapping[str, str]) -> None:
        self._layout = layout
        self._master = master
        self._links = links

    def lines(self, body: Element, shape: Element | None) -> Iterator[Line]:
        """Yield the paragraphs of a text body that hold text."""
        for paragraph in body.findall(A + "p"):
            text = paragraph_text(paragraph, self._links)
            if not text.strip():
                continue
            properties = paragraph.find(A + "pPr")
            depth = int(properties.get("lvl", "0")) if properties is not None else 0
            numbered = self._kind(properties, body, shape, depth)
            if numbered is None and shape is not None and _is_typed(paragraph):
                yield "code", paragraph_text(paragraph, {}).rstrip()
            else:
                yield (None if numbered is None else (depth, numbered)), text.strip()

    def _kind(self, properties: Element | None, body: Element, shape: Element | None, depth: int) -> bool | None:
        """Return whether the paragraph is numbered (True), has a bullet (False) or neither (None)."""
        for place in self._places(properties, body, shape, depth):
            if place is None:
                continue
            if place.find(A + "buNone") is not None:
                return None
            if place.find(A + "buAutoNum") is not None:
                return True
            if place.find(A + "buChar") is not None or place.find(A + "buBlip") is not None:
                return False
        return None

    def _places(
        self, properties: Element | None, body: Element, shape: Element | None, depth: int
    ) -> Iterator[Element | None]:
        level = f"{A}lvl{min(depth, 8) + 1}pPr"
        yield properties
        yield body.find(f"{A}lstStyle/{level}")
        kind, number = placeholder(shape) if shape is not None else (None, "")
        if kind is None:
            return
        for part in (self._layout, self._master):
            for other in part.iter(P + "sp") if part is not None else ():
                other_kind, other_number = placeholder(other)
                same = other_number == number if part is self._layout else other_kind == "body"
                if same and other_kind is not None:
                    yield other.find(f"{P}txBody/{A}lstStyle/{level}")
        if self._master is not None and kind not in ("subTitle",):
            yield self._master.find(f"{P}txStyles/{P}bodyStyle/{level}")


def _is_typed(paragraph: Element) -> bool:
    """Return whether all text of a paragraph is in a typeface whose letters are equally wide."""
    runs = [run for run in paragraph.iter(A + "r") if (run.findtext(A + "t") or "").strip()]
    faces = [run.find(f"{A}rPr/{A}latin") for run in runs]
    return bool(runs) and all(face is not None and _TYPEWRITER.search(face.get("typeface", "")) for face in faces)


def paragraph_text(paragraph: Element, links: Mapping[str, str]) -> str:
    """Return a paragraph's inline Markdown: text, line breaks, equations, and the addresses it leads to, which `links` has by id."""
    spans: list[tuple[str, str]] = []
    address = ""
    for child in paragraph.iter():
        if child.tag in (A + "r", A + "fld", A + "br"):
            address = _address(child.find(A + "rPr"), links)
        if child.tag == A + "t":
            spans.append((address, child.text or ""))
        elif child.tag == A + "br":
            spans.append((address, "\n"))
        elif child.tag == M + "oMath":
            spans.append(("", f"${to_latex(child)}$"))
    runs = ((address, "".join(text for _, text in run)) for address, run in groupby(spans, key=lambda span: span[0]))
    return "".join(_linked(text, address) for address, text in runs)


def _address(properties: Element | None, links: Mapping[str, str]) -> str:
    click = properties.find(A + "hlinkClick") if properties is not None else None
    return links.get(click.get(R + "id", ""), "") if click is not None else ""


def _linked(text: str, address: str) -> str:
    words = text.strip()
    if not address or not words:
        return text
    start = text.index(words)
    return text[:start] + gfm.link(words, address) + text[start + len(words) :]


def shape_address(shape: Element, links: Mapping[str, str]) -> str:
    """Return where a click on a shape or picture as a whole leads, '' for nowhere."""
    return _address(shape.find(f"*/{P}cNvPr"), links)


def blocks_of_lines(lines: Iterable[Line]) -> Iterator[str]:
    """Yield blocks: paragraphs alone, runs of list items together, and so lines of code."""
    for kind, run in groupby(lines, key=lambda line: line[0] if line[0] in (None, "code") else "list"):
        if kind == "code":
            yield "```\n" + "\n".join(text for _, text in run) + "\n```"
        elif kind is None:
            yield from (gfm.paragraph(text) for _, text in run)
        else:
            yield gfm.items(_items(run))


def _items(lines: Iterable[Line]) -> Iterator[str]:
    counts: dict[int, int] = {}
    for item, text in lines:
        if isinstance(item, tuple):
            depth, numbered = item
            counts = {level: count for level, count in counts.items() if level <= depth}
            counts[depth] = counts.get(depth, 0) + 1 if numbered else 0
            yield gfm.item(text, depth, counts[depth] if numbered else None)
