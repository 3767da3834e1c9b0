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

VERSION = 1
"""Raise it when the same page yields other Markdown than before, so that unchanged pages are read once more."""

LINK_SELECTOR = "a[href],area[href]"
IGNORED_SCHEMES = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
NOFOLLOW = frozenset({"nofollow", "ugc", "sponsored"})
REFRESH_S = 5.0
THIN_CHARS = 200
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
    links = [] if "nofollow" in said else links_of(document, base, max_links)
    title, language, published = head.title_of(document), head.language_of(document), head.published_of(document)
    scripts = document.select_one("script") is not None
    markdown, anchors = content(document, data, base)
    return Page(
        markdown=markdown,
        anchors=anchors,
        links=links,
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


def content(document: Document, data: bytes, base: str) -> Content:
    """Return the page's content as Markdown with its anchors."""
    unscripted = "".join(element.inner_html for element in document.select("noscript"))
    headings = document.select("h1")
    article = head.is_article(document)
    clean(document)
    found = main_content(document, data, base, headings, article=article)
    if len(unscripted) > UNSCRIPTED_SHARE * len(found[0]):
        instead = to_markdown(turbohtml.parse_fragment(unscripted), resolver(base))
        if len(instead[0]) > UNSCRIPTED_SHARE * len(found[0]):
            return instead
    return found


def main_content(document: Document, data: bytes, base: str, headings: list[Element], *, article: bool) -> Content:
    """Return the content of a cleaned page: by its structure, by density where that says nothing or it is an article."""
    root = container(document)
    if (root is None or article) and document.select_one("pre") is None and (found := by_density(data, base)):
        return found
    body = root or document.select_one("body")
    if body is None:
        return "", []
    prune(body)
    add_heading(body, headings)
    return to_markdown(body, resolver(base))


def by_density(data: bytes, base: str) -> Content | None:
    """Return what trafilatura finds on a page whose structure says nothing; None where that is nothing, too."""
    from syncd.sources.web.density import main_fragment

    fragment = main_fragment(data, base)
    return to_markdown(fragment, resolver(base)) if fragment is not None else None


def add_heading(body: Element, headings: list[Element]) -> None:
    """Put the page's only first-level heading back where it stood outside the container."""
    if len(headings) == 1 and body.select_one("h1") is None and (text := " ".join(headings[0].text.split())):
        heading = Element("h1", None, [Text(text)])
        body.insert(0, heading)


def links_of(document: Document, base: str, max_links: int) -> list[str]:
    """Return the first `max_links` different http(s) links, in document order, without nofollow ones."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    if max_links <= 0:
        return []
    for element in document.select(LINK_SELECTOR):
        href = (element.attr("href") or "").strip().partition("#")[0]
        if not href or href in seen or IGNORED_SCHEMES.match(href):
            continue
        if not NOFOLLOW.isdisjoint((element.attr("rel") or "").lower().split()):
            continue
        seen.add(href)
        if target := resolved(href, base):
            found[target] = None
            if len(found) >= max_links:
                break
    return list(found)


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
