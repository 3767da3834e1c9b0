"""From bytes to a tree: which encoding a page is in, when header, mark and content disagree.

Order: byte-order mark, valid UTF-8 where the header says nothing or a Latin-1 default, the header, what the page itself
declares (in XML or HTML), what it looks like where nobody says anything, windows-1252.
"""

from __future__ import annotations

import codecs
import re

import turbohtml
from turbohtml import Document

from syncd.html.math import settle_math
from syncd.html.xhtml import declared_encoding

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
DEFAULTS = frozenset({"", "iso-8859-1", "latin-1", "latin1", "windows-1252", "us-ascii", "ascii"})
META_BYTES = 4096
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


HTML_NAMES = {
    "cp932": "shift_jis",
    "shift_jis_2004": "shift_jis",
    "euc_jis_2004": "euc-jp",
    "iso2022_jp_2": "iso-2022-jp",
    "iso2022_jp_ext": "iso-2022-jp",
    "cp949": "euc-kr",
    "euc_kr": "euc-kr",
    "big5hkscs": "big5",
    "cp874": "windows-874",
    "mac-roman": "macintosh",
    "mac-cyrillic": "x-mac-cyrillic",
    "maccyrillic": "x-mac-cyrillic",
    "utf-8-sig": "utf-8",
}
"""What browsers call encodings that detection calls otherwise (encoding.spec.whatwg.org)."""
DETECTION_BYTES = 64 << 10
SURE_ENOUGH = 0.002
"""Two words of German have 0.005; noise, which is some text in some encoding too, has less than this."""
FOREIGN_SHARE, FOREIGN_SURE, LATIN_SURE = 0.3, 0.03, 0.06
"""Of letters beyond ASCII in scripts other than Latin. Few words with accents look like any of a dozen encodings."""
WIDE = re.compile(r"utf|gb|big5|euc|cp9|shift|iso-?2022|johab|hz", re.IGNORECASE)
"""Encodings of several bytes a character, which no other text looks like."""
TAG = re.compile(rb"<[^<>]{0,2000}>")
GUESSABLE = (
    "ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso-2022-jp", "hz-gb-2312", "windows-1250",
    "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257", "koi8-r",
    "koi8-u", "iso-8859-2", "iso-8859-5", "ibm866", "mac-cyrillic", "cp932", "shift_jis_2004", "euc-jp", "cp949", "euc-kr", "gb18030",
    "big5", "cp874",
)  # fmt: skip
"""Others are guessed of short texts more often than met. On 53 texts of a line or two in 20 languages this list got 49 right, the
detection's own list of encodings of the web 37, all that it knows 41."""


def page_tree(data: bytes, content_type: str = "") -> Document:
    """Return a page's tree; any bytes make one, and an encoding that nobody knows is ignored."""
    named = encoding_of(data, content_type)
    try:
        document = turbohtml.parse(data, encoding=HTML_NAMES.get(named or "", named), positions=False)
    except LookupError:
        document = turbohtml.parse(data, positions=False)
    settle_math(document)
    return document


def guessed(data: bytes) -> str:
    """Return the encoding that a text looks like, '' for none; of a long one, what its first lines beyond ASCII look like."""
    name, confidence = detected(data)
    return name if confidence >= SURE_ENOUGH else ""


def detected(data: bytes) -> tuple[str, float]:
    """Return the encoding that a text looks like, and how sure that is."""
    # Most pages say how they are encoded, and the tables of the detection take 10 MB.
    import chardet

    sample = b"\n".join(line for line in data[: 64 * DETECTION_BYTES].splitlines() if not line.isascii())[
        :DETECTION_BYTES
    ]
    found = chardet.detect(sample or data[:DETECTION_BYTES], include_encodings=GUESSABLE)
    return found["encoding"] or "", found["confidence"]


def likely(text: bytes) -> str:
    """Return the encoding of text from the web that nobody names: what it looks like, or windows-1252 where that is doubtful."""
    name, confidence = detected(text)
    if confidence < SURE_ENOUGH:
        return ""
    if WIDE.match(name):
        return name
    letters = sum(byte > 127 or chr(byte).isalpha() for byte in text[:DETECTION_BYTES])
    beyond = sum(byte > 127 for byte in text[:DETECTION_BYTES])
    is_foreign = beyond >= FOREIGN_SHARE * letters
    return name if confidence >= (FOREIGN_SURE if is_foreign else LATIN_SURE) else "Windows-1252"


def unstated(data: bytes, content_type: str) -> str:
    """Return what a page looks like that neither says how it is encoded nor comes with a header that does; else ''."""
    if header_charset(content_type) or declares(data):
        return ""
    return likely(TAG.sub(b" ", data[: 4 * DETECTION_BYTES]))


def header_charset(content_type: str) -> str:
    """Return the charset a Content-Type header names, in lower case, or ''."""
    match = CHARSET.search(content_type)
    return match[1].lower() if match else ""


def encoding_of(data: bytes, content_type: str) -> str | None:
    """Return the encoding to hand to the HTML parser, or None to let it look for a declaration in the page."""
    for mark, name in BYTE_ORDER_MARKS:
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
    if data.startswith(tuple(mark for mark, _ in BYTE_ORDER_MARKS)) or data.isascii() or is_utf8(data):
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
