"""The text layer of a page in runs: what belongs to which marked content, and where it links to."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from syncd.pipeline.parse.pdf_hyphens import BROKEN
from syncd.pipeline.parse.pdfium import PdfDocument, PdfPage, PdfTextPage

_raw: Any = import_module("pypdfium2.raw")
PdfHandle = Any
"""A pointer or function of PDFium, which has no types."""
UNTAGGED = -1
ARTIFACT = -2
"""Said to be no content: running heads, page numbers."""

_HYPHEN = 2
"""Stands for one at a line's end."""
_MAX_OBJECTS = 200_000
_MAX_CHARACTERS = 1_000_000
_MAX_DEPTH = 8
_MAX_ADDRESS_BYTES = 2000
_text_object = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(
    ctypes.cast(_raw.FPDFText_GetTextObject, ctypes.c_void_p).value or 0
)
"""Asked for every character: an address as an integer costs a tenth of what the bindings' own pointers do."""


@dataclass(frozen=True, slots=True)
class CharacterRun:
    """Characters that follow each other, of one owner: a marked-content id, UNTAGGED or ARTIFACT."""

    owner: int
    text: str
    start: int
    """Which character of the page is its first; spaces and line ends that PDFium infers count, and go with what is before them."""
    link: str = ""

    @property
    def end(self) -> int:
        """Return which character of the page comes behind it."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class PageContent:
    """What is drawn on a page."""

    runs: tuple[CharacterRun, ...]
    pictures: dict[int, int]
    """Places of pictures in drawing order, counted from 1, by marked-content id."""


def page_content(document: PdfDocument, page: PdfPage, text_page: PdfTextPage) -> PageContent:
    """Return a page's runs in PDFium's order, and its tagged pictures. Nothing of a page beyond all reason."""
    count = _raw.FPDFText_CountChars(text_page)
    if not 0 <= count <= _MAX_CHARACTERS:
        return PageContent((), {})
    owners, pictures = _owners(page)
    return PageContent(tuple(_runs(document, page, text_page, count, owners)), pictures)


def _owners(page: PdfPage) -> tuple[dict[int, int], dict[int, int]]:
    owners: dict[int, int] = {}
    pictures: dict[int, int] = {}
    drawn = 0
    for handle, owner in _objects(page, _raw.FPDFPage_CountObjects, _raw.FPDFPage_GetObject, UNTAGGED, 0):
        kind = _raw.FPDFPageObj_GetType(handle)
        if kind == _raw.FPDF_PAGEOBJ_TEXT:
            owners[_address(handle)] = owner
        elif kind == _raw.FPDF_PAGEOBJ_IMAGE:
            drawn += 1
            if owner >= 0:
                pictures.setdefault(owner, drawn)
        if len(owners) > _MAX_OBJECTS:
            break
    return owners, pictures


def _objects(
    holder: PdfHandle, count: PdfHandle, get: PdfHandle, around: int, depth: int
) -> Iterator[tuple[PdfHandle, int]]:
    """Yield what is drawn, depth first, with its owner. What a form draws belongs to whom the form belongs: the marks inside it
    are numbered for themselves.
    """
    for at in range(max(count(holder), 0)):
        handle = get(holder, at)
        if not handle:
            continue
        owner = _owner(handle) if depth == 0 else around
        if _raw.FPDFPageObj_GetType(handle) != _raw.FPDF_PAGEOBJ_FORM:
            yield handle, owner
        elif depth < _MAX_DEPTH:
            yield from _objects(handle, _raw.FPDFFormObj_CountObjects, _raw.FPDFFormObj_GetObject, owner, depth + 1)


def _owner(handle: PdfHandle) -> int:
    content = _raw.FPDFPageObj_GetMarkedContentID(handle)
    if content >= 0:
        return content
    name, size_bytes = (ctypes.c_ushort * 32)(), ctypes.c_ulong()
    for at in range(min(_raw.FPDFPageObj_CountMarks(handle), _MAX_DEPTH)):
        mark = _raw.FPDFPageObj_GetMark(handle, at)
        _raw.FPDFPageObjMark_GetName(mark, name, ctypes.sizeof(name), ctypes.byref(size_bytes))
        if bytes(name).startswith("Artifact\0".encode("utf-16-le")):
            return ARTIFACT
    return UNTAGGED


def _runs(
    document: PdfDocument, page: PdfPage, text_page: PdfTextPage, count: int, owners: dict[int, int]
) -> Iterator[CharacterRun]:
    links = _raw.FPDFPage_GetAnnotCount(page) > 0
    held, owner, start = list[str](), UNTAGGED, 0
    address = _address(text_page)
    for at in range(count + 1):
        drawn = _text_object(address, at) if at < count else None
        new = owners.get(drawn, UNTAGGED) if drawn else owner
        if held and (new != owner or at == count):
            link = _link(document, page, text_page, start + len(held) // 2) if links else ""
            yield CharacterRun(owner, "".join(held), start, link)
            held = []
        if not held:
            owner, start = new, at
        if at < count:
            held.append(_character(_raw.FPDFText_GetUnicode(text_page, at)))


def _character(code: int) -> str:
    if code == _HYPHEN:
        return BROKEN
    return chr(code) if 0 < code <= 0x10FFFF else " "


def _address(handle: PdfHandle) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _link(document: PdfDocument, page: PdfPage, text_page: PdfTextPage, at: int) -> str:
    """Return the address behind a character; '' where there is none."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    edges = (ctypes.byref(edge) for edge in (left, right, bottom, top))
    if not _raw.FPDFText_GetCharBox(text_page, at, *edges):
        return ""
    found = _raw.FPDFLink_GetLinkAtPoint(page, (left.value + right.value) / 2, (bottom.value + top.value) / 2)
    action = _raw.FPDFLink_GetAction(found) if found else None
    size_bytes = _raw.FPDFAction_GetURIPath(document, action, None, 0) if action else 0
    if not 1 < size_bytes <= _MAX_ADDRESS_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(size_bytes)
    _raw.FPDFAction_GetURIPath(document, action, buffer, size_bytes)
    return buffer.value.decode("utf-8", "replace")
