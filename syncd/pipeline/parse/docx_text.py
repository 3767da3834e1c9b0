"""The inside of a Word paragraph as inline Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from xml.etree.ElementTree import Element

from syncd.pipeline.parse.archive import Package
from syncd.pipeline.parse.docx_xml import W, is_on
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.omml import M, to_latex

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_W14 = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_V = "{urn:schemas-microsoft-com:vml}"
_PASSED_THROUGH = frozenset(
    {W + name for name in ("ins", "moveTo", "smartTag", "customXml", "sdtContent", "fldSimple", "dir", "bdo", "object")}
)


@dataclass(frozen=True, slots=True)
class Media:
    """What a paragraph may point to: pictures, charts and links by relation id, notes by kind and id."""

    package: Package
    relations: Mapping[str, tuple[str, str]]
    pictures: Pictures
    note: Callable[[str, str], str]
    comment: Callable[[str], None]
    """Told of each comment's id where it is referred to."""


@dataclass(frozen=True, slots=True)
class _Span:
    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    link: str = ""

    @property
    def style(self) -> tuple[bool, bool, bool, str]:
        return self.bold, self.italic, self.struck, self.link


@dataclass(slots=True)
class Inline:
    """Reads one paragraph; `plain` leaves bold and italic out (headings, code)."""

    media: Media
    plain: bool = False
    boxes: list[Element] = field(default_factory=list[Element])
    """Text boxes and charts found in it, whose blocks follow it."""
    breaks: int = 0
    """How many pages end inside it, where the writing program noted that."""
    equations: list[str] = field(default_factory=list[str])
    """Equations on lines of their own, LaTeX."""
    _fields: list[str] = field(default_factory=list[str])
    _link: str = ""

    def text(self, paragraph: Element) -> str:
        """Return the paragraph's Markdown."""
        spans = [span for span in self._walk(paragraph) if span.text]
        return "".join(_render(list(group)) for _, group in groupby(spans, key=lambda span: span.style))

    def _walk(self, parent: Element, link: str = "") -> Iterator[_Span]:
        alone = not any(True for _ in parent.iter(W + "t"))
        for child in parent:
            tag = child.tag
            if tag == W + "r":
                yield from self._run(child, link or self._link)
            elif tag == W + "hyperlink":
                yield from self._walk(child, self._target(child))
            elif tag == W + "sdt":
                yield from self._control(child, link)
            elif tag in _PASSED_THROUGH:
                yield from self._walk(child, link)
            elif tag == M + "oMathPara":
                self.equations += [to_latex(math) for math in child.findall(M + "oMath")]
            elif tag == M + "oMath" and alone:
                self.equations.append(to_latex(child))
            elif tag == M + "oMath":
                yield _Span(f"${to_latex(child)}$")

    def _target(self, hyperlink: Element) -> str:
        kind, target = self.media.relations.get(hyperlink.get(_R + "id", ""), ("", ""))
        return target if kind == "hyperlink" else ""

    def _control(self, control: Element, link: str) -> Iterator[_Span]:
        box = control.find(f"{W}sdtPr/{_W14}checkbox/{_W14}checked")
        content = control.find(W + "sdtContent")
        if box is not None:
            yield _Span("[x] " if box.get(_W14 + "val") in ("1", "true") else "[ ] ")
        elif content is not None:
            yield from self._walk(content, link)

    def _run(self, run: Element, link: str) -> Iterator[_Span]:
        properties = run.find(W + "rPr")
        if is_on(properties, "vanish"):
            return
        marks = (False, False, False) if self.plain else tuple(is_on(properties, name) for name in ("b", "i", "strike"))
        for child in run:
            if text := self._leaf(child):
                yield _Span(text, *marks, link=link)

    def _leaf(self, child: Element) -> str:
        match child.tag.removeprefix(W):
            case "t":
                return "" if self._in_instruction() else child.text or ""
            case "tab":
                return "\t" if self.plain else " "
            case "br" | "cr":
                return "" if child.get(W + "type") in ("page", "column") else "\n"
            case "noBreakHyphen":
                return "-"
            case "sym":
                return _symbol(child.get(W + "char", ""))
            case "footnoteReference" | "endnoteReference" as name:
                label = self.media.note(name.removesuffix("Reference"), child.get(W + "id", ""))
                return f"[^{label}]" if label else ""
            case "commentReference":
                self.media.comment(child.get(W + "id", ""))
            case "ruby":
                return self._ruby(child)
            case "lastRenderedPageBreak":
                self.breaks += 1
            case "fldChar":
                self._field(child.get(W + "fldCharType", ""))
            case "instrText":
                self._instruct(child.text or "")
            case "drawing" | "pict" | "object":
                return self._drawing(child)
            case _:
                if child.tag == _MC + "AlternateContent":
                    return self._alternatives(child)
        return ""

    def _ruby(self, ruby: Element) -> str:
        """Return the words, without the readings above them."""
        base = ruby.find(W + "rubyBase")
        leaves = (leaf for run in (base.iter(W + "r") if base is not None else ()) for leaf in run)
        return "".join(self._leaf(leaf) for leaf in leaves)

    def _alternatives(self, element: Element) -> str:
        """Read the newest form of what a document holds in several."""
        chosen = element.find(_MC + "Choice")
        if chosen is None:
            chosen = element.find(_MC + "Fallback")
        return "".join(self._leaf(child) for child in chosen) if chosen is not None else ""

    def _drawing(self, drawing: Element) -> str:
        """Return the words of the pictures in a drawing and keep its text boxes and charts."""
        self.boxes += _outermost(drawing, (W + "txbxContent", _C + "chart"))
        alt = next((found.get("descr") or "" for found in drawing.iter(_WP + "docPr")), "")
        names = [(blip.get(_R + "embed", ""), alt) for blip in drawing.iter(_A + "blip")]
        names += [
            (image.get(_R + "id", ""), shape.get("alt", ""))
            for shape in drawing.iter()
            if shape.tag.startswith(_V)
            for image in shape.findall(_V + "imagedata")
        ]
        return " ".join(filter(None, (self._picture(identity, words) for identity, words in names)))

    def _picture(self, identity: str, alt: str) -> str:
        _, target = self.media.relations.get(identity, ("", ""))
        return self.media.pictures.words(self.media.package.read(target) if target else None, alt)

    def _field(self, kind: str) -> None:
        if kind == "begin":
            self._fields.append("")
        elif kind == "separate" and self._fields:
            self._link = _hyperlink(self._fields[-1])
            self._fields[-1] = "result"
        elif kind == "end" and self._fields:
            self._fields.pop()
            self._link = ""

    def _instruct(self, text: str) -> None:
        if self._fields and self._fields[-1] != "result":
            self._fields[-1] += text

    def _in_instruction(self) -> bool:
        return bool(self._fields) and self._fields[-1] != "result"


def _outermost(parent: Element, tags: Iterable[str]) -> list[Element]:
    found: list[Element] = []
    for child in parent:
        if child.tag in tags:
            found.append(child)
        elif child.tag != _MC + "Fallback":
            found += _outermost(child, tags)
    return found


def _hyperlink(instruction: str) -> str:
    words = instruction.split()
    if len(words) < 2 or words[0].upper() != "HYPERLINK" or "\\l" in words:
        return ""
    return words[1].strip('"')


def _symbol(code: str) -> str:
    try:
        number = int(code, 16)
    except ValueError:
        return ""
    # symbol fonts stand in the private use area; their bullets and ticks are the common ones
    return {0xF0B7: "•", 0xF0FC: "✓", 0xF0FE: "☒", 0xF0A8: "☐", 0xF0E0: "→"}.get(
        number, chr(number) if number < 0xE000 else ""
    )


def _render(spans: list[_Span]) -> str:
    text = "".join(span.text for span in spans)
    inner = text.strip()
    first = spans[0]
    if not inner:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    mark = ("**" if first.bold else "") + ("*" if first.italic else "")
    inner = mark + inner + mark[::-1]
    if first.struck:
        inner = f"~~{inner}~~"
    if first.link:
        inner = f"[{inner}]({first.link})"
    return before + inner + after
