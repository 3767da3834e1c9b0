"""PowerPoint presentations: slides in order with titles, bullets, tables, pictures, charts and speaker notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from xml.etree.ElementTree import Element

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.archive import Package, open_package
from syncd.pipeline.parse.charts import chart_table
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.pptx_text import A, Bullets, P, R, blocks_of_lines, paragraph_text, placeholder, shape_address
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_SLIDES_PER_PART = 50
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "sldNum", "hdr")
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the slides, a page mark each, some dozens a part. Raises PermanentError when damaged or over its limits."""
    with open_package(task.path, task.name, task.limits) as package:
        main = next((target for kind, target in package.relations("").values() if kind == "officeDocument"), "")
        root = package.xml(main)
        if root is None:
            raise PermanentError(f"{task.name} is damaged: it has no list of slides")
        relations = package.relations(main)
        out = Markdown(task.limits)
        pictures = Pictures(task)
        entries = [entry.get(R + "id", "") for entry in root.iter(P + "sldId")]
        for number, identity in enumerate(entries, 1):
            out.page(number)
            member = relations.get(identity, ("", ""))[1]
            if _is_hidden(package, member):
                task.warn("hidden_content", f"slide {number} is hidden and was left out")
                continue
            slide = _Slide(package, member, pictures)
            for blocks in slide.shapes():
                out.blocks(blocks)
                for data in pictures.taken():
                    out.picture(data)
            if number % _SLIDES_PER_PART == 0 or pictures.tiring():
                yield out.take()
        yield out.take()


class _Slide:
    def __init__(self, package: Package, member: str, pictures: Pictures) -> None:
        self._package = package
        self._pictures = pictures
        self._root = package.xml(member)
        self._relations = package.relations(member) if member else {}
        layout = self._part("slideLayout")
        master = self._related(layout, "slideMaster") if layout else ""
        self._links = _links(self._relations)
        self._bullets = Bullets(
            package.xml(layout) if layout else None, package.xml(master) if master else None, self._links
        )

    def _part(self, kind: str) -> str:
        return next((target for found, target in self._relations.values() if found == kind), "")

    def _related(self, member: str, kind: str) -> str:
        return next((target for found, target in self._package.relations(member).values() if found == kind), "")

    def shapes(self) -> Iterator[Iterable[str]]:
        """Yield the blocks of each shape, the title's first, and those of the notes."""
        if self._root is None:
            return
        tree = self._root.find(f"{P}cSld/{P}spTree")
        shapes = list(_flat(tree)) if tree is not None else []
        # a title often lies on top of the others in drawing order
        shapes.sort(key=lambda shape: (placeholder(shape)[0] or "") not in _TITLES)
        for shape in shapes:
            yield gfm.linked(self._shape(shape), shape_address(shape, self._links))
        yield self._notes()

    def _shape(self, shape: Element) -> Iterator[str]:
        kind = placeholder(shape)[0]
        if kind in _FURNITURE:
            return
        if shape.tag == P + "pic":
            yield self._picture(shape)
        elif shape.tag == P + "graphicFrame":
            yield from self._frame(shape)
        elif (body := shape.find(P + "txBody")) is not None:
            if kind in _TITLES:
                yield gfm.heading(1, " ".join(text for _, text in self._bullets.lines(body, shape)))
            else:
                yield from blocks_of_lines(self._bullets.lines(body, shape))

    def _picture(self, shape: Element) -> str:
        named = shape.find(f"{P}nvPicPr/{P}cNvPr")
        blip = shape.find(f"{P}blipFill/{A}blip")
        target = self._relations.get(blip.get(R + "embed", ""), ("", ""))[1] if blip is not None else ""
        alt = named.get("descr", "") if named is not None else ""
        return self._pictures.words(self._package.read(target) if target else None, alt)

    def _frame(self, frame: Element) -> Iterator[str]:
        for table in frame.iter(A + "tbl"):
            yield gfm.table(list(self._rows(table)))
        for chart in frame.iter(_CHART):
            target = self._relations.get(chart.get(R + "id", ""), ("", ""))[1]
            yield from chart_table(self._package.xml(target) if target else None)

        for diagram in frame.iter(_DIAGRAM + "relIds"):
            target = self._relations.get(diagram.get(R + "dm", ""), ("", ""))[1]
            links = _links(self._package.relations(target)) if target else {}
            yield gfm.items(_points(self._package.xml(target) if target else None, links))

    def _rows(self, table: Element) -> Iterator[list[str]]:
        """Yield a table's rows; merged cells repeat their text, so that every row can be understood alone."""
        above: list[str] = []
        for row in table.findall(A + "tr"):
            out: list[str] = []
            for cell in row.findall(A + "tc"):
                body = cell.find(A + "txBody")
                if cell.get("hMerge") in ("1", "true") and out:
                    text = out[-1]
                elif cell.get("vMerge") in ("1", "true") and len(out) < len(above):
                    text = above[len(out)]
                else:
                    text = "\n".join(blocks_of_lines(self._bullets.lines(body, None))) if body is not None else ""
                out.append(text)
            above = out
            yield out

    def _notes(self) -> Iterator[str]:
        member = self._part("notesSlide")
        root = self._package.xml(member) if member else None
        tree = root.find(f"{P}cSld/{P}spTree") if root is not None else None
        bullets = Bullets(None, None, _links(self._package.relations(member)) if member else {})
        for shape in _flat(tree) if tree is not None else ():
            body = shape.find(P + "txBody")
            if placeholder(shape)[0] == "body" and body is not None:
                text = "\n\n".join(blocks_of_lines(bullets.lines(body, None)))
                if text.strip():
                    yield f"Notes: {text}"


def _is_hidden(package: Package, member: str) -> bool:
    root = package.xml(member) if member else None
    return root is not None and root.get("show") in ("0", "false")


def _links(relations: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    return {identity: target for identity, (kind, target) in relations.items() if kind == "hyperlink"}


def _points(data: Element | None, links: Mapping[str, str]) -> Iterator[str]:
    """Yield the texts of a SmartArt graphic, a list item each, in the order in which they were typed."""
    for text in data.iter(_DIAGRAM + "t") if data is not None else ():
        if words := " ".join(" ".join(paragraph_text(line, links) for line in text.iter(A + "p")).split()):
            yield gfm.item(words, 0, None)


def _flat(tree: Element) -> Iterator[Element]:
    """Yield shapes in drawing order, looking through groups and taking the newest form of what is kept in several."""
    for child in tree:
        if child.tag in (P + "sp", P + "pic", P + "graphicFrame"):
            yield child
        elif child.tag in (P + "grpSp", _MC + "AlternateContent"):
            chosen = child.find(_MC + "Choice") if child.tag != P + "grpSp" else child
            yield from _flat(chosen if chosen is not None else child)
