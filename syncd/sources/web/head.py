"""What a page says about itself: title, language, date, canonical address, and what robots may do with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from turbohtml import Document

from syncd.json_types import is_array, is_object
from syncd.sources.web.settings import PRODUCT_TOKEN

DATE_METAS = (
    'meta[property="article:published_time"]',
    'meta[itemprop="datePublished"]',
    'meta[name="date"]',
    'meta[name="dc.date"]',
    'meta[name="DC.date.issued"]',
    'meta[name="pubdate"]',
)
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?")
LANGUAGE_TAG = re.compile(r"[a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*")
LINK_VALUE = re.compile(r"<([^<>]*)>([^<]*)")
MAX_TITLE_CHARS = 300


def title_of(document: Document) -> str:
    """Return the page's title on one line: `<title>`, else og:title, else the first heading."""
    for selector in ("head title", "title"):
        element = document.select_one(selector)
        if element is not None and (text := " ".join(element.text.split())):
            return text[:MAX_TITLE_CHARS]
    given = document.select_one('meta[property="og:title"]')
    if given is not None and (text := " ".join((given.attr("content") or "").split())):
        return text[:MAX_TITLE_CHARS]
    heading = document.select_one("h1")
    return " ".join(heading.text.split())[:MAX_TITLE_CHARS] if heading is not None else ""


def page_language(document: Document) -> str:
    """Return the language tag the page declares, or ''."""
    root = document.root
    text = (root.attr("lang") or root.attr("xml:lang") or "") if root is not None else ""
    return text.strip() if LANGUAGE_TAG.fullmatch(text.strip()) else ""


def published_of(document: Document) -> str:
    """Return the publication date the page states, as ISO 8601, or ''."""
    for selector in DATE_METAS:
        element = document.select_one(selector)
        if element is not None and (match := ISO_DATE.match(element.attr("content") or "")):
            return match[0]
    for item in linked_data(document.json_ld()):
        if isinstance(value := item.get("datePublished"), str) and (match := ISO_DATE.match(value)):
            return match[0]
    return ""


def linked_data(values: Iterable[object]) -> Iterator[Mapping[str, object]]:
    """Yield the objects of a page's JSON-LD, one graph deep."""
    for entry in objects_in(values):
        yield entry
        if isinstance(entry.get("@graph"), list):
            yield from objects_in([entry["@graph"]])


def objects_in(values: Iterable[object]) -> Iterator[Mapping[str, object]]:
    """Yield those of `values`, and of the lists among them, that are JSON objects."""
    for value in values:
        for item in value if is_array(value) else [value]:
            if is_object(item):
                yield item


def canonical_of(document: Document) -> str:
    """Return the href of the page's canonical link as written, or ''."""
    for element in document.select("link[rel][href]"):
        if "canonical" in (element.attr("rel") or "").lower().split():
            return (element.attr("href") or "").strip()
    return ""


def header_canonical(values: Iterable[str]) -> str:
    """Return the target of a `Link: <…>; rel="canonical"` header (RFC 8288), or ''."""
    for value in values:
        for match in LINK_VALUE.finditer(value):
            if re.search(r'rel\s*=\s*"?[^",;]{0,300}\bcanonical\b', match[2], re.IGNORECASE):
                return match[1].strip()
    return ""


def meta_directives(document: Document) -> frozenset[str]:
    """Return the robots directives of the page's meta elements that are meant for us."""
    found: set[str] = set()
    for element in document.select("meta[name][content]"):
        if (element.attr("name") or "").strip().lower() in ("robots", PRODUCT_TOKEN):
            found |= directives(element.attr("content") or "")
    return frozenset(found)


def header_directives(values: Iterable[str]) -> frozenset[str]:
    """Return the directives of X-Robots-Tag headers that are meant for us: `noindex`, `otherbot: noindex`, …"""
    found: set[str] = set()
    for value in values:
        agent, colon, rest = value.partition(":")
        named = (
            colon
            and "," not in agent
            and agent.strip().lower()
            not in ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
        )
        if not named:
            found |= directives(value)
        elif agent.strip().lower() in (PRODUCT_TOKEN, "*"):
            found |= directives(rest)
    return frozenset(found)


def directives(text: str) -> set[str]:
    """Split a list of directives; `none` means both."""
    found = {part.strip().lower() for part in text.split(",")}
    return found | {"noindex", "nofollow"} if "none" in found else found
