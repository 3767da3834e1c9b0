"""What RTF's control words stand for, and what holds from an opening to a closing brace."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

SIGNS = {
    "tab": "\t", "line": "\n", "softline": "\n", "emdash": "\u2014", "endash": "\u2013", "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c",
    "rdblquote": "\u201d", "bullet": "\u2022", "emspace": " ", "enspace": " ", "qmspace": " ", "nestcell": "\t", "nestrow": "\n",
}  # fmt: skip
SYMBOLS = {"~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}", "\t": "\t"}
PARAGRAPH_WORDS = frozenset(("pard", "s", "outlinelevel", "intbl", "itap", "ls", "ilvl"))
SKIPPED = frozenset(
    ("colortbl", "info", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf", "nonshppict", "xe", "tc",
     "nonesttables", "ftnsep", "ftnsepc", "aftnsep", "aftnsepc")
)  # fmt: skip
READ_DESTINATIONS = frozenset(
    ("fonttbl", "stylesheet", "fldinst", "footnote", "annotation", "pict", "listtext", "pntext", "sn", "sv")
)
STARRED = frozenset(("fldinst", "annotation", "shppict", "shpinst", "picprop"))
"""Destinations that are read although readers may skip them."""
HYPERLINK = re.compile(r'HYPERLINK\s{1,20}"([^"]{1,2000})"')

_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 78: "shift_jis", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "big5", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437",
    255: "cp850",
}  # fmt: skip
"""Encodings by the number of a font's character set."""


@dataclass(slots=True)
class Group:
    """What holds up to a closing brace."""

    into: str = "body"
    """The destination of its text, 'skip' for none."""
    codec: str = "cp1252"
    fallback: int = 1
    """How many signs stand for one beyond ASCII, for old readers."""
    is_hidden: bool = False
    result_at: int = -1
    """Where the text begins that a field shows."""


class Fonts:
    """Encodings of a file's fonts by their numbers."""

    def __init__(self) -> None:
        self._default = "cp1252"
        self._codecs: dict[int, str] = {}
        self._font = 0

    def define(self, word: str, number: int) -> None:
        """Take a word of the table of fonts."""
        if word == "f":
            self._font = number
        elif word == "fcharset":
            self._codecs[self._font] = self._default if number == 1 else _CHARSETS.get(number, "cp1252")
        elif word == "cpg":
            self._codecs[self._font] = code_page(number)

    def codec(self, word: str, number: int) -> str:
        """Return the encoding from a word on: f chooses a font, plain none, the others say what the file's own encoding is."""
        if word == "f":
            return self._codecs.get(number, self._default)
        if word != "plain":
            systems = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
            self._default = systems.get(word) or code_page(number)
        return self._default


def code_page(number: int) -> str:
    """Return the encoding that a code page's number names, Western European where it names none."""
    known = {0: "cp1252", 10000: "mac_roman", 65001: "utf-8", 936: "gbk", 708: "iso8859_6", 1361: "johab"}
    name = known.get(number, f"cp{number}")
    try:
        codecs.lookup(name)
    except LookupError:
        return "cp1252"
    return name
