"""What surrounds the cells of an Excel workbook (ECMA-376): shared strings, formats, references, and what follows a sheet's cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from syncd.pipeline.parse.number_format import BUILTIN, GENERAL
from syncd.pipeline.parse.sheet_rows import Range

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
ADDRESS = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_HEAD_BYTES = 64 << 10
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def column_of(letters: str) -> int:
    """Return the number of a column, counted from 0, by its letters."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def ranges(reference: str) -> Iterator[Range]:
    """Yield the rectangle that a reference such as B2:C3 names; nothing for another text."""
    first, _, last = reference.partition(":")
    start, end = ADDRESS.fullmatch(first), ADDRESS.fullmatch(last or first)
    if start and end:
        yield Range(int(start[2]) - 1, column_of(start[1]), int(end[2]) - 1, column_of(end[1]))


def behind_cells(data: bytes) -> Element | None:
    """Return what a sheet says behind its cells, which may be too many for a tree: merged cells, links, filters."""
    root, end = data.find(b"worksheet", 0, _HEAD_BYTES), data.rfind(b"sheetData")
    if root < 0 or end < 0:
        return None
    tag = data[data.rfind(b"<", 0, root) : data.find(b">", root) + 1]
    try:
        return ElementTree.fromstring(tag + data[data.find(b">", end) + 1 :])  # noqa: S314 - see Package.xml
    except (ElementTree.ParseError, ValueError):
        return None


def unescaped(text: str) -> str:
    """Return a text with each _xHHHH_ as the character it stands for (part 1, 22.9.2.19), a control character as a space."""
    return _ESCAPE.sub(_character, text)


def _character(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character >= " " or character in "\t\n" else " "


def shared_strings(root: Element | None) -> list[str]:
    """Return the shared strings, without their readings in other letters."""
    found: list[str] = []
    for entry in root.iter(S + "si") if root is not None else ():
        texts = (part for part in entry if part.tag != S + "rPh")
        found.append("".join(unescaped(node.text or "") for part in texts for node in part.iter(S + "t")))
    return found


def format_codes(root: Element | None) -> list[str]:
    """Return the format code of each cell style."""
    if root is None:
        return []
    own = {node.get("numFmtId", ""): node.get("formatCode", "") for node in root.iter(S + "numFmt")}
    builtin = {str(number): code for number, code in BUILTIN.items()}
    styles = root.find(S + "cellXfs")
    numbers = (style.get("numFmtId", "0") for style in (styles if styles is not None else ()))
    return [own.get(number) or builtin.get(number, GENERAL) for number in numbers]
