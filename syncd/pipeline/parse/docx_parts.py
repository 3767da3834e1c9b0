"""What else belongs to a Word document's text: parts in other formats, comments, and what tracked changes took out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from xml.etree.ElementTree import Element

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.archive import Package
from syncd.pipeline.parse.docx_xml import W
from syncd.pipeline.parse.encoding import decode
from syncd.pipeline.parse.html import html_to_markdown
from syncd.pipeline.parse.task import Task

_HTML = (".html", ".htm", ".xhtml", ".xht")


def without_deleted(elements: Iterable[Element]) -> Iterator[Element]:
    """Yield a body's elements; a paragraph whose end was deleted is one with the next, and looks like that."""
    held: list[Element] = []
    for element in elements:
        if element.tag == W + "p" and _ends_deleted(element):
            held += [child for child in element if child.tag != W + "pPr"]
        elif element.tag == W + "p" and held:
            yield _joined(held, element)
            held = []
        else:
            if held:
                yield _joined(held, Element(W + "p"))
                held = []
            yield element
    if held:
        yield _joined(held, Element(W + "p"))


def _ends_deleted(paragraph: Element) -> bool:
    marks = paragraph.find(f"{W}pPr/{W}rPr")
    return marks is not None and (marks.find(W + "del") is not None or marks.find(W + "moveFrom") is not None)


def _joined(before: list[Element], paragraph: Element) -> Element:
    joined = Element(W + "p")
    properties = paragraph.find(W + "pPr")
    joined.extend([properties] if properties is not None else [])
    joined.extend(before)
    joined.extend(child for child in paragraph if child.tag != W + "pPr")
    return joined


def comments(root: Element | None) -> Mapping[str, str]:
    """Return the comments by id, each with its author."""
    found: dict[str, str] = {}
    for comment in root.iter(W + "comment") if root is not None else ():
        lines = ("".join(node.text or "" for node in line.iter(W + "t")) for line in comment.iter(W + "p"))
        author = comment.get(W + "author", "")
        if text := " ".join(" ".join(lines).split()):
            found[comment.get(W + "id", "")] = gfm.paragraph(
                f"Comment by {author}: {text}" if author else f"Comment: {text}"
            )
    return found


def chunk_blocks(package: Package, relation: tuple[str, str] | None, task: Task) -> Iterator[str]:
    """Yield a part that stands in the document in a format of its own: a page, or text; of others only say so."""
    member = relation[1] if relation else ""
    data = package.read(member) if member else None
    name = member.lower()
    if data is None:
        task.warn("part_missing", f"a part of it ({member or 'unnamed'}) is missing")
    elif name.endswith(_HTML):
        yield html_to_markdown(data, task.name, task.limits)
    elif name.endswith(".txt"):
        yield from (gfm.paragraph(text) for text in decode(task, data).split("\n\n"))
    else:
        task.warn(
            "unread_content", f"its part {member} is in a format that is not read there: save the document as one"
        )
