"""From bytes to a tree: which encoding a page is in, when header, mark and content disagree.

Order: byte-order mark, valid UTF-8 where the header says nothing or a Latin-1 default, the header, what the page itself
declares (in XML or HTML), windows-1252.
"""

from __future__ import annotations

import codecs
import re

import turbohtml
from turbohtml import Document

from syncd.html.math import settle_math
from syncd.html.xhtml import declared_encoding

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
DEFAULTS = frozenset({"", "iso-8859-1", "latin-1", "latin1", "windows-1252", "us-ascii", "ascii"})
META_BYTES = 4096
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


def parsed(data: bytes, content_type: str = "") -> Document:
    """Return a page's tree; any bytes make one, and an encoding that nobody knows is ignored."""
    try:
        document = turbohtml.parse(data, encoding=encoding_of(data, content_type), positions=False)
    except LookupError:
        document = turbohtml.parse(data, positions=False)
    settle_math(document)
    return document


def header_charset(content_type: str) -> str:
    """Return the charset a Content-Type header names, in lower case, or ''."""
    match = CHARSET.search(content_type)
    return match[1].lower() if match else ""


def encoding_of(data: bytes, content_type: str) -> str | None:
    """Return the encoding to hand to the HTML parser, or None to let it look for a declaration in the page."""
    for mark, name in MARKS:
        if data.startswith(mark):
            return name
    named = header_charset(content_type)
    if named in DEFAULTS:
        if is_utf8(data):
            return "utf-8"
        return declared_encoding(data) or None
    return named


def declares(data: bytes) -> bool:
    """Return whether a page says how it is encoded, or shows it by being UTF-8 or ASCII."""
    if data.startswith(tuple(mark for mark, _ in MARKS)) or data.isascii() or is_utf8(data):
        return True
    return bool(declared_encoding(data) or CHARSET.search(data[:META_BYTES].decode("latin-1")))


def is_utf8(data: bytes) -> bool:
    """Return whether `data` is valid UTF-8 with at least one character beyond ASCII."""
    if data.isascii():
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
