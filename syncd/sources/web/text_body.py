"""Text files of a site as UTF-8, which is what text is read as: by mark, header, what they are, or what they look like."""

from __future__ import annotations

import codecs

from syncd.html.charset import DEFAULTS, header_charset, likely
from syncd.model.warnings import DocumentWarning

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BROADER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs"}
"""What browsers read under these names."""
NO_CHARSETS = frozenset(
    {"utf-7", "utf_7", "utf7", "idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
)
DETECTED_LATER = frozenset({".csv", ".tsv"})
"""Formats whose reader detects encodings itself, and says so."""


def as_utf8(body: bytes, content_type: str, suffix: str) -> tuple[bytes, tuple[DocumentWarning, ...]]:
    """Return a text as UTF-8, and a warning if its encoding was guessed; as it is where none fits, for its reader to judge.

    Pure; slow for megabytes.
    """
    for mark, name in MARKS:
        if body.startswith(mark):
            return recoded(body, name) or body, ()
    if body.isascii() and not (b"\0" in body or b"\x1b" in body):
        return body, ()
    named = header_charset(content_type)
    if named not in DEFAULTS and (text := recoded(body, named)) is not None:
        return text, ()
    if recoded(body, "utf-8") is not None:
        return body, ()
    if named in DEFAULTS - {""}:
        return recoded(body, "cp1252") or recoded(body, "latin-1") or body, ()
    guess = "" if suffix in DETECTED_LATER else likely(body)
    text = recoded(body, guess) if guess else None
    return (body, ()) if text is None else (text, (guess_of(guess),))


def guess_of(name: str) -> DocumentWarning:
    """Return the warning about an encoding that was guessed."""
    return DocumentWarning("encoding_guessed", f"it does not say how it is encoded and was read as {name}")


def recoded(body: bytes, name: str) -> bytes | None:
    """Return text in another encoding as UTF-8, or None where it is not in that one, or there is none of that name."""
    if name in NO_CHARSETS:
        return None
    try:
        return body.decode(BROADER.get(name, name)).encode()
    except (LookupError, ValueError):
        return None
