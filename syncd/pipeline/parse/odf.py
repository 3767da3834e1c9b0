"""OpenDocument texts and presentations, read from their own XML: no office suite is needed for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.archive import Package
from syncd.pipeline.parse.flat_odf import FlatPackage, open_document
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.odf_table import TABLE, table_element
from syncd.pipeline.parse.odf_text import ANNOTATION, DRAW, OFFICE, TEXT_NAMESPACE, XLINK, OdfInline, OdfStyles
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_CHART = "{urn:oasis:names:tc:opendocument:xmlns:chart:1.0}"
_MANIFEST = "{urn:oasis:names:tc:opendocument:xmlns:manifest:1.0}"
_DC_CREATOR = "{http://purl.org/dc/elements/1.1/}creator"
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_PART_BYTES = 1 << 20
_CODE = re.compile(r"preformatted|source|\bcode\b", re.I)
_QUOTE = re.compile(r"^(quotations?|quote|block ?text)$", re.I)
_FURNITURE = ("date-time", "footer", "header", "page-number")
_MORE_THAN_PICTURES = (DRAW + "object", DRAW + "text-box", TABLE + "table")
_INDEXES = (
    "table-of-content",
    "illustration-index",
    "table-index",
    "object-index",
    "user-index",
    "alphabetical-index",
    "bibliography",
)
"""OpenDocument 1.3 part 3, 8.3 to 8.9. Beside its body each has a source, which holds templates and no text."""
_CONTAINERS = frozenset(
    TEXT_NAMESPACE + name for name in ("section", "numbered-paragraph", *_INDEXES, "index-body", "index-title")
)


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the document in parts of about a megabyte. Raises PermanentError: damaged, encrypted, over its limits."""
    with open_document(task) as package:
        manifest = package.xml("META-INF/manifest.xml")
        if manifest is not None and next(manifest.iter(_MANIFEST + "encryption-data"), None) is not None:
            raise PermanentError(f"{task.name} is encrypted: save it without a password")
        root = package.xml("content.xml")
        body = root.find(OFFICE + "body") if root is not None else None
        if body is None or not len(body):
            raise PermanentError(f"{task.name} is damaged: it has no document body")
        walker = _Walker(package, task, OdfStyles(package.xml("styles.xml"), root))
        if body[0].tag == OFFICE + "presentation":
            yield from walker.slides(body[0])
        else:
            yield from walker.text(body[0])


class _Walker:
    def __init__(self, package: Package | FlatPackage, task: Task, styles: OdfStyles) -> None:
        self._package = package
        self._styles = styles
        self._pictures = Pictures(task)
        self._out = Markdown(task.limits)
        self._notes: list[str] = []
        self._shift = 0
        self._counts: dict[tuple[str, int], int] = {}
        """How far lists have counted, by style or id and depth: others continue them."""
        self._page = 1

    def text(self, body: Element) -> Iterator[ParsedPiece]:
        paged = next(body.iter(TEXT_NAMESPACE + "soft-page-break"), None) is not None
        titles = (paragraph.get(TEXT_NAMESPACE + "style-name", "") for paragraph in body.iter(TEXT_NAMESPACE + "p"))
        self._shift = int(any("Title" in self._styles.names(name) for name in titles))
        marked = 0
        for block in self._blocks(body):
            if paged and marked != self._page:
                marked = self._page
                self._out.page(marked)
            yield from self._add(block)
        yield from self._rest()

    def slides(self, body: Element) -> Iterator[ParsedPiece]:
        for number, page in enumerate(body.findall(DRAW + "page"), 1):
            self._out.page(number)
            shapes = [shape for shape in page if shape.get(_PRESENTATION + "class") not in _FURNITURE]
            shapes.sort(key=lambda shape: shape.get(_PRESENTATION + "class") != "title")
            for shape in shapes:
                for block in self._notes_page(shape) if shape.tag == _PRESENTATION + "notes" else self._shape(shape):
                    yield from self._add(block)
        yield from self._rest()

    def _add(self, block: str) -> Iterator[ParsedPiece]:
        self._out.block(block)
        for data in self._pictures.taken():
            self._out.picture(data)
        if self._out.size_bytes > _PART_BYTES or self._pictures.tiring():
            yield self._out.take()

    def _rest(self) -> Iterator[ParsedPiece]:
        self._out.blocks(self._notes)
        yield self._out.take()

    def _notes_page(self, notes: Element) -> Iterator[str]:
        for frame in notes.findall(DRAW + "frame"):
            if frame.get(_PRESENTATION + "class") == "notes":
                text = "\n\n".join(self._shape(frame))
                yield f"Notes: {text}" if text.strip() else ""

    def _shape(self, shape: Element) -> Iterator[str]:
        """Yield the blocks of a frame, group or drawn shape."""
        if shape.tag in (DRAW + "g", DRAW + "a"):
            inner = (block for child in shape for block in self._shape(child))
            yield from gfm.linked(inner, shape.get(XLINK + "href", ""))
            return
        words = self._picture(shape)
        if words is not None:
            yield words
            return
        title = shape.get(_PRESENTATION + "class") == "title"
        for child in shape:
            if child.tag == DRAW + "text-box":
                blocks = list(self._blocks(child))
                yield from [gfm.heading(1, " ".join(blocks))] if title else blocks
            elif child.tag == TABLE + "table":
                yield self._table(child)
            elif child.tag == DRAW + "object":
                yield from self._object(child)
            elif child.tag in (TEXT_NAMESPACE + "p", TEXT_NAMESPACE + "list"):
                yield from self._blocks(shape)
                return

    def _blocks(self, container: Element) -> Iterator[str]:
        code: list[str] = []
        for child in container:
            names = (
                self._styles.names(child.get(TEXT_NAMESPACE + "style-name", ""))
                if child.tag == TEXT_NAMESPACE + "p"
                else []
            )
            if any(_CODE.search(name) for name in names):
                code.append(self._inline(child, plain=True)[0])
                continue
            if code:
                yield "```\n" + "\n".join(code) + "\n```"
                code = []
            yield from self._block(child, names)
        if code:
            yield "```\n" + "\n".join(code) + "\n```"

    def _block(self, child: Element, names: list[str]) -> Iterator[str]:
        if child.tag == TEXT_NAMESPACE + "h" or (
            child.tag == TEXT_NAMESPACE + "p" and {"Title", "Subtitle"} & set(names)
        ):
            text, frames = self._inline(child, plain=True)
            yield gfm.heading(self._level(child, names), text)
            yield from frames
        elif child.tag == TEXT_NAMESPACE + "p":
            text, frames = self._inline(child)
            quoted = any(_QUOTE.match(name) for name in names)
            yield "> " + text.replace("\n", "\n> ") if quoted and text.strip() else gfm.paragraph(text)
            yield from frames
        elif child.tag == TEXT_NAMESPACE + "list":
            yield gfm.items(self._list(child, (), child.get(TEXT_NAMESPACE + "style-name", "")))
        elif child.tag == TABLE + "table":
            yield self._table(child)
        elif child.tag in _CONTAINERS:
            yield from self._blocks(child)
        elif child.tag.startswith(DRAW):
            yield from self._shape(child)
        elif child.tag == TEXT_NAMESPACE + "soft-page-break":
            self._page += 1

    def _level(self, child: Element, names: list[str]) -> int:
        if child.tag == TEXT_NAMESPACE + "h":
            return int(child.get(TEXT_NAMESPACE + "outline-level", "1")) + self._shift
        return 1 if "Title" in names else 2

    def _inline(self, paragraph: Element, *, plain: bool = False) -> tuple[str, list[str]]:
        """Return a paragraph's text and the blocks of what is anchored in it."""
        inline = OdfInline(self._styles, self._picture, self._note, plain)
        text = inline.text(paragraph)
        self._page += inline.breaks
        return (text if plain else text.strip()), [block for frame in inline.frames for block in self._shape(frame)]

    def _list(self, items: Element, around: Sequence[int], style: str) -> Iterator[str]:
        """Yield a list's items; `around` are the numbers of the items that it stands in."""
        depth = len(around)
        numbered = self._styles.numbered(style, depth)
        number = self._continued(items, style, depth)
        for entry in items:
            if entry.tag not in (TEXT_NAMESPACE + "list-item", TEXT_NAMESPACE + "list-header"):
                continue
            own = entry.get(TEXT_NAMESPACE + "start-value", "")
            number = int(own) - 1 if own.isdigit() and len(own) < 6 else number
            texts: list[str] = []
            nested: list[str] = []
            for child in entry:
                if child.tag == TEXT_NAMESPACE + "list":
                    inner = child.get(TEXT_NAMESPACE + "style-name", "") or style
                    nested += self._list(child, (*around, max(number + bool(texts), 1)), inner)
                else:
                    texts += self._blocks_of(child)
            if any(text.strip() for text in texts):
                number += entry.tag == TEXT_NAMESPACE + "list-item"
                label = self._styles.label(style, (*around, number)) if numbered else ""
                yield gfm.labelled_item("\n".join(filter(None, texts)), depth, label)
            yield from nested
        self._counts[style, depth] = self._counts[items.get(_XML_ID, ""), depth] = number

    def _continued(self, items: Element, style: str, depth: int) -> int:
        """Return the number before a list's first: that of the list which it continues, if it does."""
        before = items.get(TEXT_NAMESPACE + "continue-list", "")
        if (before, depth) in self._counts and before:
            return self._counts[before, depth]
        if before or items.get(TEXT_NAMESPACE + "continue-numbering") == "true":
            return self._counts.get((style, depth), 0)
        return self._styles.start(style, depth) - 1

    def _blocks_of(self, child: Element) -> list[str]:
        wrapped = Element("blocks")
        wrapped.append(child)
        return list(self._blocks(wrapped))

    def _table(self, table: Element) -> str:
        return table_element(table, lambda cell: "\n".join(self._blocks(cell)))

    def _picture(self, frame: Element) -> str | None:
        """Return the words of a frame that holds a picture; None for every other frame."""
        image = frame.find(DRAW + "image")
        if image is None or any(frame.find(tag) is not None for tag in _MORE_THAN_PICTURES):
            return None
        alt = frame.findtext(_SVG + "desc") or frame.findtext(_SVG + "title") or ""
        target = image.get(XLINK + "href", "").removeprefix("./")
        return self._pictures.words(self._package.read(target), alt)

    def _object(self, holder: Element) -> Iterator[str]:
        """Yield an embedded chart as its title and table, an equation as the text it was typed in."""
        root = self._package.xml(holder.get(XLINK + "href", "").removeprefix("./").rstrip("/") + "/content.xml")
        for node in root.iter() if root is not None else ():
            if node.tag == _CHART + "title":
                yield " ".join("".join(node.itertext()).split())
            elif node.tag == TABLE + "table":
                yield self._table(node)
            elif node.tag.rpartition("}")[2] == "annotation" and node.get("encoding", "").startswith("StarMath"):
                yield f"$${(node.text or '').strip()}$$"

    def _note(self, note: Element) -> str:
        author = (note.findtext(_DC_CREATOR) or "").strip()
        said = f"Comment{f' by {author}' if author else ''}: " if note.tag == ANNOTATION else ""
        body = note if said else note.find(TEXT_NAMESPACE + "note-body")
        label = len(self._notes) + 1
        self._notes.append("")
        self._notes[label - 1] = f"[^{label}]: {said}" + " ".join(self._blocks(body) if body is not None else ())
        return f"[^{label}]"
