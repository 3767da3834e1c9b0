"""Decides what a response really is, whatever its Content-Type says: a page, plain text, a document, or nothing to index."""

from __future__ import annotations

import re
from typing import Literal

from syncd.model.formats import IMAGE, media_types
from syncd.model.markup import prolog_bytes
from syncd.sources.web.settings import WebLimits
from syncd.sources.web.urls import Url

Kind = Literal["page", "document", "nothing"]

PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
DOCUMENT_SUFFIXES = {
    media_type: suffix
    for media_type, suffix in media_types().items()
    if media_type not in PAGE_TYPES and suffix not in IMAGE.suffixes
}
"""Suffixes of pictures, which are not indexed from websites."""
VAGUE_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-download"})
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
PAGE_SUFFIXES = frozenset({"", ".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp", ".cgi"})
PAGE_ROOT = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
BINARY_STARTS = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"RIFF",
    b"\x00\x00\x00",
    b"\x7fELF",
    b"Rar!",
    b"7z\xbc\xaf",
)
SNIFF_BYTES = 2048


def url_suffix(url: Url) -> str:
    """Return the suffix of the URL's last path segment, in lower case, or ''."""
    match = SUFFIX.search(url.path.rpartition("/")[2])
    return match[0].lower() if match else ""


class UnwantedTypeError(Exception):
    """A body of this media type is not read; the message says why."""


def size_limit_for(media_type: str, url: Url, limits: WebLimits) -> int:
    """Return how many bytes of this type may be read. Raises UnwantedTypeError."""
    if media_type in PAGE_TYPES:
        return limits.page_size_bytes
    if media_type in DOCUMENT_SUFFIXES:
        return limits.document_size_bytes
    if media_type in VAGUE_TYPES:
        suffix = url_suffix(url)
        if suffix in PAGE_SUFFIXES:
            return limits.page_size_bytes
        if suffix in DOCUMENT_SUFFIXES.values():
            return limits.document_size_bytes
        raise UnwantedTypeError(f"unsupported file type: {suffix}")
    raise UnwantedTypeError(f"unsupported media type: {media_type}")


def kind_of(media_type: str, url: Url, body: bytes) -> tuple[Kind, str]:
    """Return what `body` is, and for a document its suffix, for nothing the reason."""
    start = body[:SNIFF_BYTES]
    if b"%PDF-" in start[:1024]:
        return "document", ".pdf"
    if media_type in PAGE_TYPES:
        return ("nothing", "binary content labelled as a page") if is_binary(start) else ("page", "")
    suffix = DOCUMENT_SUFFIXES.get(media_type) or (url_suffix(url) if media_type in VAGUE_TYPES else "")
    if suffix == ".pdf":
        return "nothing", "not a PDF file"
    if media_type in VAGUE_TYPES and suffix in PAGE_SUFFIXES:
        return ("page", "") if PAGE_ROOT.match(start, prolog_bytes(start)) else ("nothing", "unknown media type")
    if suffix in (".txt", ".md", ".rst", ".csv"):
        own = url_suffix(url)
        text_suffix = own if suffix == ".txt" and own in (".md", ".rst", ".csv") else suffix
        return ("nothing", "binary content labelled as text") if is_binary(start) else ("document", text_suffix)
    return "document", suffix


def is_binary(start: bytes) -> bool:
    """Return whether bytes cannot be the beginning of a text; UTF-16 with its mark can."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    return start.startswith(BINARY_STARTS) or b"\x00" in start
