"""One page's bytes to what the crawl needs of it. Pure, but may be slow or greedy on hostile pages: run it in a worker."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import turbohtml
from turbohtml import Document, Element, Text

from syncd.sources.web import head
from syncd.sources.web.charset import encoding_of
from syncd.sources.web.markdown import to_markdown
from syncd.sources.web.structure import clean, container, prune
from syncd.sources.web.urls import UrlError, normal

VERSION = 2
"""Raise it when the same page yields other Markdown than before, so that unchanged pages are read once more."""

LINK_SELECTOR = "a[href],area[href]"
IGNORED_SCHEMES = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
NOFOLLOW = frozenset({"nofollow", "ugc", "sponsored"})
REFRESH_S = 5.0
THIN_CHARS = 200
DOCUMENTATION = "pre,[class*=docsearch],[id*=docsearch],[class*=DocSearch],[class*=toctree]"
PICTURES = "img,picture"
"""On shops and news pages their alternative texts say what people see; in documentation they say what a figure shows."""
FAR_MORE = 2.75
"""A structure that holds so many times the words of the densest text is that of a list: a shop, an index, a set of cards."""
STORY_WORDS = 200
"""So much dense text is a story of its own, whatever else the page lists."""
ARTICLE_WORDS = 60
"""The same on a page that says that it is an article."""
LITTLE_LESS = (0.8, 0.95)
WORD = re.compile(r"\w+")
UNSCRIPTED_SHARE = 3
"""A page whose noscript holds so many times its other text keeps its content there."""

Content = tuple[str, list[tuple[int, str]]]
"""Markdown, and its anchors as (start byte, fragment)."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was read from one HTML page; every URL absolute and in its one spelling."""

    markdown: str
    anchors: list[tuple[int, str]]
    """(start byte in `markdown`, fragment), in order."""
    links: list[str]
    links_cut: bool
    """There are more links than may be taken."""
    title: str
    language: str
    published: str
    canonical: str
    refresh: str
    noindex: bool
    nofollow: bool
    scripted: bool
    """Little text but scripts: the page may need a browser."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Page:
        """Invert `to_json`."""
        anchors = [(int(start), str(fragment)) for start, fragment in values.pop("anchors")]
        return cls(anchors=anchors, **values)


def extract(data: bytes, url: str, content_type: str, max_links: int) -> Page:
    """Read one page. Raises ValueError for what is no page at all."""
    document = parsed(data, content_type)
    base = base_of(document, url)
    said = head.meta_directives(document)
    canonical = resolved(head.canonical_of(document), base)
    refresh = refresh_of(document, base)
    links, links_cut = ([], False) if "nofollow" in said else links_of(document, base, max_links)
    title, language, published = head.title_of(document), head.language_of(document), head.published_of(document)
    scripts = document.select_one("script") is not None
    markdown, anchors = content(document, data, content_type, base)
    return Page(
        markdown=markdown,
        anchors=anchors,
        links=links,
        links_cut=links_cut,
        title=title,
        language=language,
        published=published,
        canonical=canonical,
        refresh=refresh,
        noindex="noindex" in said,
        nofollow="nofollow" in said,
        scripted=scripts and len(markdown) < THIN_CHARS,
    )


def parsed(data: bytes, content_type: str) -> Document:
    """Parse in the encoding header, mark and content agree on best; an unknown name is ignored."""
    try:
        return turbohtml.parse(data, encoding=encoding_of(data, content_type), positions=False)
    except LookupError:
        return turbohtml.parse(data, positions=False)


def content(document: Document, data: bytes, content_type: str, base: str) -> Content:
    """Return the page's content as Markdown with its anchors."""
    unscripted = "".join(element.inner_html for element in document.select("noscript"))
    doubtful = is_doubtful(document)
    story_words = ARTICLE_WORDS if head.is_article(document) else STORY_WORDS
    headings = document.select("h1")
    clean(document)
    if doubtful:
        document.remove(PICTURES)
    found, text = by_structure(document, headings, base)
    if doubtful and (other := by_density(data, content_type, base, text, story_words)):
        return other
    if len(unscripted) > UNSCRIPTED_SHARE * len(found[0]):
        instead = to_markdown(turbohtml.parse_fragment(unscripted), resolver(base))
        if len(instead[0]) > UNSCRIPTED_SHARE * len(found[0]):
            return instead
    return found


def is_doubtful(document: Document) -> bool:
    """Return whether a second opinion on where the content is may be worth its time.

    Pages without code that tell social networks about themselves are news, shops and forums, whose containers hold much
    besides their content; generated documentation does neither and marks its content well.
    """
    if document.select_one(DOCUMENTATION) is not None or head.is_generated_documentation(document):
        return False
    return document.select_one('meta[property^="og:"]') is not None or container(document) is None


def by_structure(document: Document, headings: list[Element], base: str) -> tuple[Content, str]:
    """Return the content of a cleaned page by its structure, and its bare text."""
    body = container(document) or document.select_one("body")
    if body is None:
        return ("", []), ""
    prune(body)
    add_heading(body, headings)
    text = body.text
    return to_markdown(body, resolver(base)), text


def by_density(data: bytes, content_type: str, base: str, structured: str, story_words: int) -> Content | None:
    """Return the content by its density of text, or None where that finds nothing, or far less than the structure did."""
    from syncd.sources.web.density import main_fragment, narrow

    chosen = main_fragment(data, base)
    if chosen is None or structure_wins(structured, chosen.text, story_words):
        return None
    document = parsed(data, content_type)
    headings = document.select("h1")
    clean(document)
    document.remove(PICTURES)
    body = document.select_one("body")
    if body is None or not narrow(body, chosen):
        return to_markdown(chosen, resolver(base))
    add_heading(body, headings)
    return to_markdown(body, resolver(base))


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


def links_of(document: Document, base: str, max_links: int) -> tuple[list[str], bool]:
    """Return the first `max_links` different http(s) links, in document order, without nofollow ones, and if there are more."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    if max_links <= 0:
        return [], False
    for element in document.select(LINK_SELECTOR):
        href = (element.attr("href") or "").strip().partition("#")[0]
        if not href or href in seen or IGNORED_SCHEMES.match(href):
            continue
        if not NOFOLLOW.isdisjoint((element.attr("rel") or "").lower().split()):
            continue
        seen.add(href)
        if (target := resolved(href, base)) and target not in found:
            if len(found) >= max_links:
                return list(found), True
            found[target] = None
    return list(found), False


def refresh_of(document: Document, base: str) -> str:
    """Return where a quick meta refresh leads, or ''."""
    refresh = document.meta_refresh("")
    if refresh is None or refresh[0] > REFRESH_S:
        return ""
    return resolved(refresh[1], base)


def base_of(document: Document, url: str) -> str:
    """Return what relative links are relative to; a `<base>` that is no http(s) URL is ignored."""
    element = document.select_one("base[href]")
    if element is None:
        return url
    return resolved(element.attr("href") or "", url) or url


def resolved(href: str, base: str) -> str:
    """Return `href` as an absolute URL in its one spelling, or '' where it is no http(s) URL."""
    if not href:
        return ""
    try:
        return normal(href, base).text
    except UrlError:
        return ""


def resolver(base: str) -> Callable[[str], str]:
    """Return a function that makes links for readers: absolute, fragment kept, other schemes dropped."""

    def resolve(href: str) -> str:
        if IGNORED_SCHEMES.match(href):
            return href if href.lower().startswith("mailto:") else ""
        address, hash_sign, fragment = href.partition("#")
        target = resolved(address, base)
        return f"{target}#{fragment}" if target and hash_sign and fragment else target

    return resolve
