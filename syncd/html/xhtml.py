"""XHTML made such that HTML parsers read what it says: they know neither elements that close themselves nor CDATA."""

from __future__ import annotations

import re
from html import escape

VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr".split())
_XHTML = re.compile(
    rb"""<html\b[^>]{0,1000}\bxmlns\b|<!DOCTYPE[^>]{0,300}XHTML|^\s{0,100}<\?xml\s|<title\s{0,9}/>""", re.IGNORECASE
)
_HEAD_BYTES = 4096
_SELF_CLOSED = re.compile(rb"<([A-Za-z][\w:.-]{0,60})\b([^<>]{0,2000})/>")
_CDATA, _CDATA_END = b"<![CDATA[", b"]]>"
_DECLARED = re.compile(rb"""\s{0,100}<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")


def as_html(page: bytes) -> bytes:
    """Return a page of XHTML as HTML; other pages as they are."""
    if not _XHTML.search(page, 0, _HEAD_BYTES):
        return page
    return _SELF_CLOSED.sub(_with_end_tag, _without_cdata(page))


def _with_end_tag(found: re.Match[bytes]) -> bytes:
    tag = found[1]
    return found[0] if tag.lower() in VOID else b"<" + tag + found[2] + b"></" + tag + b">"


def _without_cdata(page: bytes) -> bytes:
    """Return the page with its CDATA as escaped text, but for that of scripts and styles, hidden in their comments."""
    before, *rest = page.split(_CDATA)
    out = [before]
    for piece in rest:
        text, end, after = piece.partition(_CDATA_END)
        is_hidden = out[-1].rstrip().endswith((b"//", b"/*"))
        out += (
            [piece] if is_hidden or not end else [escape(text.decode("latin-1"), quote=False).encode("latin-1"), after]
        )
    return b"".join(out)


def declared_encoding(page: bytes) -> str:
    """Return what a page's XML declaration names, in lower case, or ''."""
    match = _DECLARED.match(page)
    return match[1].decode("ascii").lower() if match else ""
