"""A file or a chapter as Markdown, whole: its owner chose it, so only what no reader sees and menus are left out."""

from __future__ import annotations

import re
from collections import Counter

from turbohtml import Document, Element, Text

from syncd.html.charset import page_tree
from syncd.html.markdown import DOCUMENT, to_markdown
from syncd.html.panels import settle_panels
from syncd.html.tables import CELLS, elements_in
from syncd.html.xhtml import as_html

UNSEEN = (
    "head,script,style,template,link,meta,noscript,iframe,object,embed,audio,video,svg,canvas,nav,button,input,select,"
    "textarea,datalist,dialog,[hidden]"
)
LISTS = ("ul", "ol")
SCRIPT = re.compile(r"(?:javascript|vbscript):", re.IGNORECASE)


class TooDeepError(ValueError):
    """Elements are nested deeper than anybody writes them."""


def whole_document(page: bytes, max_depth: int = 512, encoding: str = "") -> str:
    """Return a page's Markdown; pictures as `![text](address)`, links as written. Any bytes are read.

    `encoding` is that of a page that does not say.

    Raises TooDeepError when elements are nested `max_depth` levels or more; the parser flattens what is below 512.
    """
    document = page_tree(as_html(page), f"charset={encoding}" if encoding else "")
    if depth_of(document) >= max_depth:
        raise TooDeepError
    settle_panels(document)
    document.remove(UNSEEN)
    root = document.select_one("body") or document.root
    if root is None:
        return ""
    settle_lists(root)
    settle_layout(root)
    markdown, _ = to_markdown(root, resolve, DOCUMENT)
    return markdown


def depth_of(document: Document) -> int:
    """Return how deep elements are nested."""
    level, depth = elements_in(document), 0
    while level:
        level = [child for element in level for child in elements_in(element)]
        depth += 1
    return depth


def resolve(href: str) -> str:
    """Leave addresses as they are: a file has no place on the web; scripts lead nowhere."""
    return "" if SCRIPT.match(href) else href


def settle_lists(root: Element) -> None:
    """Write an item that is nothing but a list of one item as one item that shows the inner number."""
    for item in root.select("li"):
        inner = only_child(item)
        if inner is None or inner.tag not in LISTS:
            continue
        only = only_child(inner)
        if only is None or only.tag != "li":
            continue
        number = inner.attr("start") or "1"
        if inner.tag == "ol" and number.isdigit():
            only.insert(0, Text(f"{number}. "))
        only.unwrap()
        inner.unwrap()


def only_child(element: Element) -> Element | None:
    """Return the one child of `element`, or None where it has several or text beside it."""
    children = [child for child in element.children if isinstance(child, Element) or child.text.strip()]
    return children[0] if len(children) == 1 and isinstance(children[0], Element) else None


def settle_layout(root: Element) -> None:
    """Unwrap tables that only place other tables on the page: a cell would flatten what is in it."""
    around = {outer for table in root.select("table") if (outer := enclosing_table(table)) is not None}
    layouts = around - tabular(root, around)
    if not layouts:
        return
    for part in root.select("td,th,caption"):
        if part.closest("table") in layouts:
            part.wrap(Element("div"))
            part.unwrap()
    for part in root.select("tr,tbody,thead,tfoot,colgroup"):
        if part.closest("table") in layouts:
            part.unwrap()
    for table in layouts:
        table.unwrap()


def tabular(root: Element, tables: set[Element]) -> set[Element]:
    """Return those of `tables` with two or more rows of several cells."""
    rows: Counter[Element] = Counter()
    for row in root.select("tr") if tables else ():
        table = row.closest("table")
        if table is not None and table in tables and sum(cell.tag in CELLS for cell in elements_in(row)) > 1:
            rows[table] += 1
    return {table for table, count in rows.items() if count > 1}


def enclosing_table(table: Element) -> Element | None:
    """Return the table that contains `table`, or None."""
    parent = table.parent
    return parent.closest("table") if isinstance(parent, Element) else None
