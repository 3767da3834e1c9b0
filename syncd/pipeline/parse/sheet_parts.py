"""What stands on the sheets of an Excel workbook besides cells: charts, pictures and comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from syncd.pipeline.parse.archive import Package
from syncd.pipeline.parse.charts import chart_table
from syncd.pipeline.parse.image import Pictures

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_T = "{http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments}"


class SheetParts:
    """The sheets of one workbook by name."""

    def __init__(self, package: Package, pictures: Pictures) -> None:
        self._package = package
        self._pictures = pictures
        relations = package.relations("xl/workbook.xml")
        book = package.xml("xl/workbook.xml")
        sheets = book.iter(_S + "sheet") if book is not None else ()
        person = next((target for kind, target in relations.values() if kind == "person"), "")
        people = package.xml(person) if person else None
        self._persons = {
            each.get("id", ""): each.get("displayName", "")
            for each in (people.iter(_T + "person") if people is not None else ())
        }
        self._members = {
            sheet.get("name", ""): relations.get(sheet.get(_R + "id", ""), ("", ""))[1] for sheet in sheets
        }

    def blocks(self, sheet: str) -> Iterator[str]:
        """Yield the charts of a sheet as titles and tables, its pictures' words, then its comments with their authors."""
        member = self._members.get(sheet, "")
        relations = list(self._package.relations(member).values()) if member else []
        for kind, target in relations:
            if kind == "drawing":
                yield from self._charts(target)
                yield from self._words(target)
        targets = dict(relations)
        if plain := targets.get("comments"):
            yield from _comments(self._package.xml(plain))
        if threaded := targets.get("threadedComment"):
            yield from _threaded(self._package.xml(threaded), self._persons)

    def _charts(self, drawing: str) -> Iterator[str]:
        for kind, target in self._package.relations(drawing).values():
            if kind == "chart":
                yield from chart_table(self._package.xml(target))

    def _words(self, drawing: str) -> Iterator[str]:
        """Yield the words of a sheet's pictures."""
        relations, root = self._package.relations(drawing), self._package.xml(drawing)
        for picture in root.iter(_XDR + "pic") if root is not None else ():
            named, blip = picture.find(f"{_XDR}nvPicPr/{_XDR}cNvPr"), next(picture.iter(_A + "blip"), None)
            target = relations.get(blip.get(_R + "embed", ""), ("", ""))[1] if blip is not None else ""
            alt = named.get("descr", "") if named is not None else ""
            yield self._pictures.words(self._package.read(target) if target else None, alt)


def _comments(root: Element | None) -> Iterator[str]:
    if root is None:
        return
    authors = [author.text or "" for author in root.iter(_S + "author")]
    for comment in root.iter(_S + "comment"):
        number = comment.get("authorId", "")
        author = authors[int(number)] if number.isdigit() and int(number) < len(authors) else ""
        text = "".join(node.text or "" for node in comment.iter(_S + "t")).strip()
        # What stands there for readers that know no threads.
        if author.startswith("tc={"):
            continue
        yield _comment(comment.get("ref", ""), author, text)


def _threaded(root: Element | None, persons: Mapping[str, str]) -> Iterator[str]:
    for comment in root.iter(_T + "threadedComment") if root is not None else ():
        author = persons.get(comment.get("personId", ""), "")
        yield _comment(comment.get("ref", ""), author, (comment.findtext(_T + "text") or "").strip())


def _comment(place: str, author: str, text: str) -> str:
    who = f" by {author}" if author else ""
    return f"Comment on {place}{who}: {text.removeprefix(f'{author}:').strip()}" if text else ""
