"""A crawled page's own content as Markdown: the container by its structure, checked against the densest text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import turbohtml
from turbohtml import Document, Element, Text

from syncd.html.charset import page_tree
from syncd.html.markdown import AnchoredMarkdown, to_markdown
from syncd.html.panels import settle_panels
from syncd.html.structure import container, prune, remove_chrome

DOCUMENTATION = "pre,[class*=docsearch],[id*=docsearch],[class*=DocSearch],[class*=toctree]"
PICTURES = "img,picture"
"""On shops and news pages their alternative texts say what people see; in documentation they say what a figure shows."""
FAR_MORE = 2.2
"""A structure that holds so many times the words of the densest text is that of a list: a shop, an index, a set of cards."""
STORY_WORDS = 200
"""So much dense text is a story of its own, whatever else the page lists."""
ARTICLE_WORDS = 60
"""The same on a page that says that it is an article."""
LITTLE_LESS = (0.8, 0.95)
WORD = re.compile(r"\w+")
UNSCRIPTED_SHARE = 3
"""A page whose noscript holds so many times its other text keeps its content there."""

DOCUMENTATION_MAKERS = re.compile(
    r"sphinx|docusaurus|mkdocs|vitepress|gitbook|bookdown|mdbook|docfx|doxygen|antora|docbook|rustdoc|javadoc|asciidoc",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page as it was fetched."""

    data: bytes
    content_type: str
    base_url: str
    resolve: Callable[[str], str]
    """Makes one of its hrefs absolute, or returns '' for a link to leave as its text."""


def main_content(document: Document, page: RawPage) -> AnchoredMarkdown:
    """Return the content of `page`, parsed as `document`, as Markdown with its anchors. Changes `document`."""
    unscripted = "".join(element.inner_html for element in document.select("noscript"))
    doubtful = is_doubtful(document)
    story_words = ARTICLE_WORDS if is_article(document) else STORY_WORDS
    headings = document.select("h1")
    if settle_panels(document):
        # The densities must see the panels, too.
        page = replace(page, data=document.html.encode("utf-8", "replace"), content_type="text/html; charset=utf-8")
    remove_chrome(document)
    if doubtful:
        document.remove(PICTURES)
    found, text = by_structure(document, headings, page)
    if doubtful and (other := by_density(page, text, story_words)):
        return other
    if len(unscripted) > UNSCRIPTED_SHARE * len(found[0]):
        instead = to_markdown(turbohtml.parse_fragment(unscripted), page.resolve)
        if len(instead[0]) > UNSCRIPTED_SHARE * len(found[0]):
            return instead
    return found


def is_doubtful(document: Document) -> bool:
    """Return whether a second opinion on where the content is may be worth its time.

    Pages without code that tell social networks about themselves are news, shops and forums, whose containers hold much
    besides their content; generated documentation does neither and marks its content well.
    """
    if document.select_one(DOCUMENTATION) is not None or is_generated_documentation(document):
        return False
    return document.select_one('meta[property^="og:"]') is not None or container(document) is None


def by_structure(document: Document, headings: list[Element], page: RawPage) -> tuple[AnchoredMarkdown, str]:
    """Return the content of a cleaned page by its structure, and its bare text."""
    body = container(document) or document.select_one("body")
    if body is None:
        return ("", []), ""
    prune(body)
    add_heading(body, headings)
    text = body.text
    return to_markdown(body, page.resolve), text


def by_density(page: RawPage, structured: str, story_words: int) -> AnchoredMarkdown | None:
    """Return the content by its density of text, or None where that finds nothing, or far less than the structure did."""
    from syncd.html.density import main_fragment, narrow

    chosen = main_fragment(page.data, page.base_url)
    if chosen is None or structure_wins(structured, chosen.text, story_words):
        return None
    document = page_tree(page.data, page.content_type)
    headings = document.select("h1")
    remove_chrome(document)
    document.remove(PICTURES)
    body = document.select_one("body")
    if body is None or not narrow(body, chosen):
        return to_markdown(chosen, page.resolve)
    add_heading(body, headings)
    return to_markdown(body, page.resolve)


def structure_wins(structured: str, dense: str, story_words: int) -> bool:
    """Return whether the structure is to be trusted more.

    It is where it found far more than a few lines, and where it found the same but for a little, which is then chrome.
    """
    words, dense_words = WORD.findall(structured), WORD.findall(dense)
    share = len(words) / max(1, len(dense_words))
    if share > FAR_MORE:
        return len(dense_words) < story_words
    known = set(words)
    return LITTLE_LESS[0] <= share < LITTLE_LESS[1] and 2 * sum(w in known for w in dense_words) > len(dense_words)


def add_heading(body: Element, headings: list[Element]) -> None:
    """Put the page's only first-level heading back where it stood outside the container."""
    if len(headings) == 1 and body.select_one("h1") is None and (text := " ".join(headings[0].text.split())):
        heading = Element("h1", None, [Text(text)])
        body.insert(0, heading)


def is_article(document: Document) -> bool:
    """Return whether the page declares itself a news or blog article."""
    kind = document.select_one('meta[property="og:type"]')
    return kind is not None and (kind.attr("content") or "").strip().lower() == "article"


def is_generated_documentation(document: Document) -> bool:
    """Return whether the page names a program as its maker that makes documentation."""
    maker = document.select_one('meta[name="generator"]')
    return maker is not None and DOCUMENTATION_MAKERS.search(maker.attr("content") or "") is not None
