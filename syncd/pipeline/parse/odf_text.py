"""The inside of an OpenDocument paragraph as inline Markdown, and what its styles say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from syncd.pipeline.parse.docx_numbering import written

TEXT_NAMESPACE = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
XLINK = "{http://www.w3.org/1999/xlink}"
_FO = "{urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0}"
ANNOTATION = OFFICE + "annotation"
_SKIPPED = frozenset({OFFICE + "annotation-end", TEXT_NAMESPACE + "tracked-changes", TEXT_NAMESPACE + "ruby-text"})
_MAX_CHAIN = 20
_MAX_SPACES = 1_000

Emphasis = tuple[bool, bool, bool]
"""Bold, italic, struck through."""


class OdfStyles:
    """Styles by name: ancestors, character marks, and which list levels are numbered."""

    def __init__(self, *roots: Element | None) -> None:
        self._styles: dict[str, Element] = {}
        self._numbered: dict[str, dict[int, Element]] = {}
        for root in roots:
            for style in root.iter(STYLE + "style") if root is not None else ():
                self._styles[style.get(STYLE + "name", "")] = style
            for style in root.iter(TEXT_NAMESPACE + "list-style") if root is not None else ():
                levels = {int(level.get(TEXT_NAMESPACE + "level", "1")) - 1: level for level in style.findall(_NUMBER)}
                self._numbered[style.get(STYLE + "name", "")] = levels

    def chain(self, name: str) -> Iterator[Element]:
        """Yield a style and what it is based on."""
        for _ in range(_MAX_CHAIN):
            style = self._styles.get(name)
            if style is None:
                return
            yield style
            name = style.get(STYLE + "parent-style-name", "")

    def names(self, name: str) -> list[str]:
        """Return the names of a style and its ancestors, spaces as spaces."""
        found = [style.get(STYLE + "parent-style-name", "") for style in self.chain(name)]
        return [one.replace("_20_", " ") for one in (name, *found) if one]

    def marks(self, name: str) -> Emphasis:
        """Return the character marks a style sets itself or through its ancestors."""
        bold = italic = struck = ""
        for style in self.chain(name):
            found = style.find(STYLE + "text-properties")
            if found is not None:
                bold = bold or found.get(_FO + "font-weight", "")
                italic = italic or found.get(_FO + "font-style", "")
                struck = struck or found.get(STYLE + "text-line-through-style", "")
        return bold in ("bold", "700", "800", "900"), italic in ("italic", "oblique"), struck not in ("", "none")

    def numbered(self, name: str, depth: int) -> bool:
        """Say whether items of list style `name` at `depth` (0 outermost) are numbered."""
        return depth in self._numbered.get(name, ())

    def start(self, name: str, depth: int) -> int:
        """Return what items of list style `name` at `depth` count from."""
        level = self._numbered.get(name, {}).get(depth)
        text = level.get(TEXT_NAMESPACE + "start-value", "1") if level is not None else "1"
        return int(text) if text.isdigit() and len(text) < 6 else 1

    def label(self, name: str, counts: Sequence[int]) -> str:
        """Return an item's number as it is written; `counts` are those of its list and of the lists around that."""
        levels = self._numbered.get(name, {})
        own = levels.get(len(counts) - 1)
        if own is None:
            return f"{counts[-1]}."
        shown = own.get(TEXT_NAMESPACE + "display-levels", "1")
        first = max(0, len(counts) - (int(shown) if shown.isdigit() else 1))
        formats = (
            levels[depth].get(STYLE + "num-format", "1") if depth in levels else "" for depth in range(len(counts))
        )
        texts = [written(count, _KINDS.get(kind, "none")) for count, kind in zip(counts, formats, strict=True)]
        number = ".".join(filter(None, texts[first:]))
        return (own.get(STYLE + "num-prefix", "") + number + own.get(STYLE + "num-suffix", "")).strip()


_KINDS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_NUMBER = TEXT_NAMESPACE + "list-level-style-number"


@dataclass(slots=True)
class OdfInline:
    """Reads one paragraph. `frame` gives the words of a picture; other frames are kept in `frames` for after it."""

    styles: OdfStyles
    frame: Callable[[Element], str | None]
    note: Callable[[Element], str]
    plain: bool = False
    frames: list[Element] = field(default_factory=list[Element])
    breaks: int = 0
    """How many pages end inside it, where the writing program noted that."""

    def text(self, paragraph: Element) -> str:
        """Return the paragraph's Markdown."""
        spans = [span for span in self._walk(paragraph, (False, False, False), "") if span[0]]
        out: list[str] = []
        while spans:
            marks, link = spans[0][1:]
            same = 0
            while same < len(spans) and spans[same][1:] == (marks, link):
                same += 1
            out.append(_render("".join(span[0] for span in spans[:same]), marks, link))
            spans = spans[same:]
        return "".join(out)

    def _walk(self, node: Element, marks: Emphasis, link: str) -> Iterator[tuple[str, Emphasis, str]]:
        yield _collapsed(node.text), marks, link
        for child in node:
            if child.tag not in _SKIPPED:
                yield from self._child(child, marks, link)
            yield _collapsed(child.tail), marks, link

    def _child(self, child: Element, marks: Emphasis, link: str) -> Iterator[tuple[str, Emphasis, str]]:
        match child.tag.removeprefix(TEXT_NAMESPACE):
            case "s":
                yield " " * min(int(child.get(TEXT_NAMESPACE + "c", "1")), _MAX_SPACES), marks, link
            case "tab":
                yield "\t" if self.plain else " ", marks, link
            case "line-break":
                yield "\n", marks, link
            case "soft-page-break":
                self.breaks += 1
            case "note":
                yield self.note(child), marks, link
            case _ if child.tag == ANNOTATION:
                yield self.note(child), marks, link
            case "a":
                yield from self._walk(child, marks, child.get(XLINK + "href", ""))
            case "span":
                own = (False,) * 3 if self.plain else self.styles.marks(child.get(TEXT_NAMESPACE + "style-name", ""))
                bold, italic, struck = (one or other for one, other in zip(own, marks, strict=True))
                yield from self._walk(child, (bold, italic, struck), link)
            case _ if child.tag.startswith(DRAW):
                words = self.frame(child)
                if words is None:
                    self.frames.append(child)
                else:
                    yield words, (False, False, False), ""
            case _:
                yield from self._walk(child, marks, link)


def _collapsed(text: str | None) -> str:
    """Return text as OpenDocument means it: runs of white space are one space."""
    if not text:
        return ""
    words = " ".join(text.split())
    if not words:
        return " "
    return (" " if text[0].isspace() else "") + words + (" " if text[-1].isspace() else "")


def _render(text: str, marks: Emphasis, link: str) -> str:
    inner = text.strip()
    if not inner:
        return text
    bold, italic, struck = marks
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    mark = ("**" if bold else "") + ("*" if italic else "")
    inner = mark + inner + mark[::-1]
    if struck:
        inner = f"~~{inner}~~"
    return before + (f"[{inner}]({link})" if link else inner) + after
