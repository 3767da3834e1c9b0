"""Extracts from one page's bytes what a crawl needs. Pure, but slow or memory-hungry on hostile pages: run it in a worker."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from turbohtml import Document

from syncd.html.charset import page_tree, unstated
from syncd.html.main_content import RawPage, main_content
from syncd.sources.web import head
from syncd.sources.web.urls import UrlError, normal

LINK_SELECTOR = "a[href],area[href],frame[src]"
IGNORED_SCHEMES = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
NOFOLLOW = frozenset({"nofollow", "ugc", "sponsored"})
REFRESH_S = 5.0
THIN_CHARS = 200
NOTICE_CHARS = 400
NOTICE = re.compile(
    r"(?:enable|requires?|needs?|turn on|activate|activer|activez|aktivieren|erfordert|benötigt|habilit\w{0,9}|activ\w{0,9}|"
    r"включите|zonder|inschakelen)[^.!?]{0,60}java ?script|java ?script[^.!?]{0,60}(?:disabled|turned off|required|enabled|"
    r"deaktiviert|désactivé|aktivieren|erforderlich|activado|отключен|有効|启用|啟用)|^\W{0,9}(?:loading|please wait|laden|chargement)\W{0,9}$",
    re.IGNORECASE,
)
"""What a page says whose text is made by scripts, to who runs none."""


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """What was read from one HTML page; every URL is absolute and normalised."""

    markdown: str
    anchors: list[tuple[int, str]]
    """(start byte in `markdown`, fragment), in order."""
    links: list[str]
    links_cut: bool
    """The page has more links than `max_links`."""
    title: str
    language: str
    published: str
    canonical: str
    refresh: str
    noindex: bool
    nofollow: bool
    scripted: bool
    """Little text but scripts: the page may need a browser."""
    script_made: bool = False
    """It says no more than that it needs scripts, or nothing."""
    encoding_guess: str = ""
    """What it was read as although nobody said so."""


def extract(data: bytes, url: str, content_type: str, max_links: int) -> HtmlPage:
    """Read one page. Raises ValueError for content that is not a page."""
    guess = unstated(data, content_type)
    content_type = f"{content_type}; charset={guess}" if guess else content_type
    document = page_tree(data, content_type)
    base = base_of(document, url)
    robots_directives = head.meta_directives(document)
    canonical = resolved(head.canonical_of(document), base)
    refresh = refresh_of(document, base)
    links, links_cut = ([], False) if "nofollow" in robots_directives else links_of(document, base, max_links)
    title, language, published = head.title_of(document), head.page_language(document), head.published_of(document)
    scripts = document.select_one("script:not([type$=json])") is not None and document.select_one("frame") is None
    markdown, anchors = main_content(document, RawPage(data, content_type, base, resolver(base)))
    return HtmlPage(
        markdown=markdown,
        anchors=anchors,
        links=links,
        links_cut=links_cut,
        title=title,
        language=language,
        published=published,
        canonical=canonical,
        refresh=refresh,
        noindex="noindex" in robots_directives,
        nofollow="nofollow" in robots_directives,
        scripted=scripts and len(markdown) < THIN_CHARS,
        script_made=scripts and (not markdown or is_notice(markdown)),
        encoding_guess=guess,
    )


def is_notice(markdown: str) -> bool:
    """Return whether a short text only says that the page needs scripts."""
    return len(markdown) <= NOTICE_CHARS and NOTICE.search(markdown) is not None


def links_of(document: Document, base: str, max_links: int) -> tuple[list[str], bool]:
    """Return the first `max_links` different http(s) links, in document order, without nofollow ones, and if there are more."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    if max_links <= 0:
        return [], False
    for element in document.select(LINK_SELECTOR):
        href = (element.attr("src" if element.tag == "frame" else "href") or "").strip().partition("#")[0]
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
    """Return what relative links are relative to; a `<base>` that is not an http(s) URL is ignored."""
    element = document.select_one("base[href]")
    if element is None:
        return url
    return resolved(element.attr("href") or "", url) or url


def resolved(href: str, base: str) -> str:
    """Return `href` as an absolute, normalised URL, or '' if it is not an http(s) URL."""
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
