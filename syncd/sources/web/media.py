"""Decides what a response really is, whatever its Content-Type says: a page, plain text, a document, or nothing to index.

An address decides nothing: `/wiki/Node.js` is a page. Where the type says nothing either, the name that the response gives
the file counts, then the address, then how the bytes begin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from syncd.model.formats import IMAGE, MARKDOWN, TEXT, media_types
from syncd.model.markup import prolog_bytes
from syncd.sources.web.settings import WebLimits
from syncd.sources.web.urls import Url

ContentKind = Literal["page", "document", "nothing"]

PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
DOCUMENT_SUFFIXES = {
    **{
        media_type: suffix
        for media_type, suffix in media_types().items()
        if media_type not in PAGE_TYPES and suffix not in IMAGE.suffixes
    },
    **dict.fromkeys(("application/x-pdf", "application/acrobat", "application/vnd.pdf", "text/pdf"), ".pdf"),
    **dict.fromkeys(("text/x-markdown", "text/x-web-markdown", "text/vnd.daringfireball.markdown"), ".md"),
    **dict.fromkeys(("text/prs.fallenstein.rst", "text/restructuredtext"), ".rst"),
    **dict.fromkeys(("text/comma-separated-values", "application/csv", "text/x-csv"), ".csv"),
}
"""Suffixes by registered types and by those that servers send all the same; no pictures, which are not indexed from websites."""
VAGUE_TYPES = frozenset(
    {
        "",
        "*/*",
        "application/octet-stream",
        "application/x-octet-stream",
        "application/binary",
        "binary/octet-stream",
        "application/download",
        "application/force-download",
        "application/x-download",
        "application/x-force-download",
        "application/unknown",
        "application/x-unknown",
        "unknown/unknown",
    }
)
"""Types that say no more than that there are bytes, or that a browser should save them."""
TEXT_SUFFIXES = frozenset({*TEXT.suffixes, *MARKDOWN.suffixes, ".csv", ".tsv"})
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
FILE_NAME = re.compile(r"""filename(\*?)\s{0,9}=\s{0,9}(?:"([^"]{0,300})"|([^\s;"]{0,300}))""", re.IGNORECASE)
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
ZIP = b"PK\x03\x04"
FIRST_MEMBER = 30
"""Where the name of a ZIP archive's first member begins."""
OFFICE_MEMBER = b"[Content_Types].xml"
PACKED_TYPE = re.compile(rb"mimetype([\x21-\x7e]{1,100}?)(?:PK|$)")
SNIFF_BYTES = 2048


class UnwantedTypeError(Exception):
    """A body of this media type is not read; the message says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a response says that it is."""

    media_type: str
    suffix: str
    """Of the file name that it gives, else of its address."""

    @property
    def is_vague(self) -> bool:
        """Return whether only the bytes can tell what they are."""
        return self.media_type in VAGUE_TYPES


def claim_of(headers: Mapping[str, str], url: Url) -> Claim:
    """Return what a response's headers and address say that it is."""
    media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    named = SUFFIX.search(disposition_name(headers.get("Content-Disposition", "")))
    return Claim(media_type, named[0].lower() if named else url_suffix(url))


def disposition_name(disposition: str) -> str:
    """Return the file name in a Content-Disposition header (RFC 6266), or ''; an encoded one is preferred."""
    found = {match[1]: match[2] or match[3] or "" for match in FILE_NAME.finditer(disposition[:2000])}
    encoded = unquote(found.get("*", "").rpartition("'")[2], errors="replace")
    return (encoded or found.get("", "")).replace("\\", "/").rpartition("/")[2].strip()


def url_suffix(url: Url) -> str:
    """Return the suffix of the URL's last path segment, in lower case, or ''."""
    match = SUFFIX.search(url.path.rpartition("/")[2])
    return match[0].lower() if match else ""


def size_limit_for(claim: Claim, limits: WebLimits, start: bytes | None = None) -> int:
    """Return how many bytes of a body may be read; `start` is how it begins, None before that is known.

    Raises UnwantedTypeError.
    """
    if claim.media_type in PAGE_TYPES:
        return limits.page_size_bytes
    if claim.media_type in DOCUMENT_SUFFIXES:
        return limits.document_size_bytes
    if not claim.is_vague:
        raise UnwantedTypeError(f"unsupported media type: {claim.media_type}")
    if start is None:
        return limits.document_size_bytes
    kind, detail = kind_of(claim, start)
    if kind == "nothing":
        raise UnwantedTypeError(detail)
    return limits.page_size_bytes if kind == "page" else limits.document_size_bytes


def kind_of(claim: Claim, body: bytes) -> tuple[ContentKind, str]:
    """Return what `body`, or its beginning, is, and for a document its suffix, for nothing the reason."""
    start = body[:SNIFF_BYTES]
    if b"%PDF-" in start[:1024]:
        return "document", ".pdf"
    if claim.media_type in PAGE_TYPES:
        return ("nothing", "binary content labelled as a page") if is_binary(start) else ("page", "")
    if claim.is_vague:
        return vague_kind(claim.suffix, start)
    suffix = DOCUMENT_SUFFIXES.get(claim.media_type, "")
    if suffix == ".pdf":
        return "nothing", "not a PDF file"
    if suffix in TEXT_SUFFIXES:
        text_suffix = claim.suffix if suffix == ".txt" and claim.suffix in TEXT_SUFFIXES else suffix
        return ("nothing", "binary content labelled as text") if is_binary(start) else ("document", text_suffix)
    return "document", suffix


def vague_kind(suffix: str, start: bytes) -> tuple[ContentKind, str]:
    """Return what bytes of no particular type are, by how they begin and by the name they have."""
    if PAGE_ROOT.match(start, prolog_bytes(start)):
        return "page", ""
    if suffix in TEXT_SUFFIXES:
        return ("nothing", "binary content labelled as text") if is_binary(start) else ("document", suffix)
    if suffix == ".pdf":
        return "nothing", "not a PDF file"
    if suffix in DOCUMENT_SUFFIXES.values():
        return "document", suffix
    if packed := packed_suffix(start):
        return "document", packed
    return "nothing", f"unsupported file type: {suffix}" if suffix not in PAGE_SUFFIXES else "unknown media type"


def packed_suffix(start: bytes) -> str:
    """Return the suffix of the documents that are ZIP archives beginning like this one, or ''."""
    if not start.startswith(ZIP):
        return ""
    if start.startswith(OFFICE_MEMBER, FIRST_MEMBER):
        return ".docx"
    found = PACKED_TYPE.match(start, FIRST_MEMBER)
    return DOCUMENT_SUFFIXES.get(found[1].decode("ascii"), "") if found else ""


def is_binary(start: bytes) -> bool:
    """Return whether bytes cannot be the beginning of a text; UTF-16 with its mark can."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    return start.startswith(BINARY_STARTS) or b"\x00" in start
