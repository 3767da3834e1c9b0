"""Renders a content element as Markdown and says at which byte which fragment of the page begins.

Anchors ride through the renderer as pairs of Unicode noncharacters, which no page can mean, and are taken out again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from turbohtml import Element, Markdown, Text

from syncd.html.code_blocks import settle_code
from syncd.html.tables import settle_tables

PAGE_STYLE = Markdown(
    # Escapes would put backslashes into identifiers, which exact search and code terms stumble over.
    escaping=Markdown.Escaping(mode="none", asterisks=False, underscores=False),
    images=Markdown.Images(mode="alt"),
    links=Markdown.Links(autolink=False),
    tables=Markdown.Tables(cell_blocks="text", header="detect"),
)
"""For crawled pages: pictures are left to their alternative texts."""
DOCUMENT = replace(
    PAGE_STYLE,
    images=Markdown.Images(mode="markdown"),
    tables=Markdown.Tables(cell_blocks="text", header="first"),
)
"""For files: pictures keep their addresses, for whoever reads pictures."""
MARK = re.compile("\ufdd0(\\d+)\ufdd1")
STRAY = re.compile("[\ufdd0\ufdd1\x00]")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
ANCHORED = "h1,h2,h3,h4,h5,h6,dt"

AnchoredMarkdown = tuple[str, list[tuple[int, str]]]
"""Markdown, and its anchors in order, as (start byte, fragment)."""


def to_markdown(root: Element, resolve: Callable[[str], str], options: Markdown = PAGE_STYLE) -> AnchoredMarkdown:
    """Return `root` as Markdown and its anchors. Changes `root`.

    `resolve` makes one href absolute, or returns '' for a link to leave as its text.
    """
    drop_permalinks(root)
    drop_readings(root)
    settle_titles(root)
    settle_code(root)
    settle_tables(root)
    settle_links(root, resolve)
    fragments = mark_anchors(root)
    return unmarked(rendered(root, options), fragments)


def rendered(root: Element, options: Markdown) -> str:
    """Return `root` as Markdown. Where one emphasis cannot be written with asterisks, none is: the renderer would write
    all of them as HTML tags.
    """
    text = root.to_markdown(options)
    for tag in ("<em>", "<strong>"):
        if tag in text and text.count(tag) > root.text.count(tag):
            return root.to_markdown(replace(options, inline=Markdown.Inline(ignore_emphasis=True)))
    return text


def drop_permalinks(root: Element) -> None:
    """Remove the signs (a pilcrow, a hash, nothing that is seen) that link headings to themselves."""
    for link in root.select("a[href^='#']"):
        text = link.text.strip()
        if len(text) > 2 or text.isalnum() or link.select_one("img") is not None:
            continue
        link.clear()


def drop_readings(root: Element) -> None:
    """Remove how words are pronounced: set between them, it would tear sentences apart, as in documents of other formats."""
    for reading in root.select("ruby rt,ruby rp,ruby rtc"):
        if reading.parent is not None:
            reading.decompose()


def settle_titles(root: Element) -> None:
    """Part what stands on lines of its own in a title by style alone, let links in the middle of one be text, and no blank be its end."""
    for line in root.select("h1 > span[class] + span[class]"):
        before = line.previous_sibling
        if (
            isinstance(before, Element)
            and len(before.text) > 1
            and before.text[-1].isalnum()
            and line.text[:1].isupper()
        ):
            line.insert_before(Text(" "))
    for title in root.select("h1,h2,h3,h4,h5,h6"):
        if title.tag == "h1":
            for link in title.select("a[href]"):
                if len(link.text.strip()) < len(title.text.strip()):
                    link.unwrap()
        last = title.children[-1] if title.children else None
        if isinstance(last, Text) and last.text != last.text.rstrip():
            last.replace_with(Text(last.text.rstrip()))


def settle_links(root: Element, resolve: Callable[[str], str]) -> None:
    """Make links absolute; those that lead nowhere else (same page, empty, scripts) become their text."""
    for link in root.select("a"):
        href = (link.attr("href") or "").strip()
        target = resolve(href) if href and not href.startswith("#") else ""
        if target and link.text.strip():
            link.attrs["href"] = target
            if "title" in link.attrs:
                del link.attrs["title"]
        elif link.attr("id") is None and link.attr("name") is None:
            link.unwrap()
        elif "href" in link.attrs:
            del link.attrs["href"]


def mark_anchors(root: Element) -> list[str]:
    """Put a mark in front of each heading and defined term that has a fragment; return the fragments."""
    fragments: list[str] = []
    for element in root.select(ANCHORED):
        fragment = fragment_of(element, root)
        if fragment:
            element.insert(0, Text(f"\ufdd0{len(fragments)}\ufdd1"))
            fragments.append(fragment)
    return fragments


def fragment_of(element: Element, root: Element) -> str:
    """Return the id that leads to `element`: its own, one inside it, one just before it, or that of what it opens."""
    own = element.attr("id")
    if own:
        return own
    inner = element.select_one("a[id],a[name],span[id]")
    if inner is not None:
        return inner.attr("id") or inner.attr("name") or ""
    before = previous_element(element)
    if before is not None and before.tag in ("a", "span") and not before.text.strip():
        return before.attr("id") or before.attr("name") or ""
    return opened_section(element, root) if element.tag in HEADINGS else ""


def opened_section(heading: Element, root: Element) -> str:
    """Return the id of the closest ancestor that `heading` is the beginning of."""
    child: Element = heading
    for ancestor in heading.ancestors:
        if not isinstance(ancestor, Element) or previous_element(child) is not None:
            return ""
        if ident := ancestor.attr("id"):
            return ident
        if ancestor == root:
            return ""
        child = ancestor
    return ""


def previous_element(element: Element) -> Element | None:
    """Return the sibling element before `element`, skipping white space; None also if there is text in between."""
    for sibling in element.previous_siblings:
        if isinstance(sibling, Element):
            return sibling
    return None


def unmarked(marked: str, fragments: list[str]) -> AnchoredMarkdown:
    """Take the marks out of rendered Markdown; each becomes the byte its line starts at."""
    text = marked.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    pieces: list[str] = []
    anchors: list[tuple[int, str]] = []
    size_bytes = line_start = 0
    for piece, number in split_marks(text):
        piece = STRAY.sub("", piece)
        newline = piece.rfind("\n")
        if newline >= 0:
            line_start = size_bytes + len(piece[: newline + 1].encode("utf-8", "replace"))
        pieces.append(piece)
        size_bytes += len(piece.encode("utf-8", "replace"))
        if number is not None and number < len(fragments):
            anchors.append((line_start, fragments[number]))
    body = "".join(pieces)
    return (body + "\n" if body else "", anchors)


def split_marks(text: str) -> Iterator[tuple[str, int | None]]:
    """Yield the text before each mark with the mark's number, and the rest with None."""
    end = 0
    for match in MARK.finditer(text):
        yield text[end : match.start()], int(match[1])
        end = match.end()
    yield text[end:], None
