"""The structure tree of a tagged PDF's page as PDFium tells it: bounded, and a tree whatever the file says."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from syncd.pipeline.parse.pdfium import PdfPage
from syncd.pipeline.parse.pdfium_text import PdfHandle

_raw: Any = import_module("pypdfium2.raw")
_MAX_DEPTH = 64
_MAX_CHILDREN = 20_000_000
"""Of all pages together. An element that spans a document shows all its children on every page: this is some 10 s of asking."""
_MAX_CHILDREN_OF_ONE = 1_000_000
_MAX_NAME_BYTES = 256
_MAX_ALT_BYTES = 8192
_MAX_SPAN = 100
_CELLS = ("TD", "TH")


@dataclass(frozen=True, slots=True)
class Element:
    """What a part of a page is, after the document's role map; an integer among `children` is a marked-content id."""

    kind: str
    children: tuple[Element | int, ...] = ()
    alt: str = ""
    columns: int = 1
    rows: int = 1
    """How many columns and rows a table's cell spans."""

    def content(self) -> Iterator[int]:
        """Yield the marked-content ids in it, in its order."""
        for child in self.children:
            if isinstance(child, int):
                yield child
            else:
                yield from child.content()

    def kinds(self) -> Iterator[str]:
        """Yield the kinds of it and of what it holds."""
        yield self.kind
        for child in self.children:
            if not isinstance(child, int):
                yield from child.kinds()


@dataclass(slots=True)
class StructureReader:
    """Reads the trees of one document's pages. What is too deep, too much, or met before is left out of them."""

    _children_left: int = _MAX_CHILDREN
    _met: set[int] = field(default_factory=set[int])

    def elements(self, page: PdfPage) -> tuple[Element, ...]:
        """Return the outermost elements of a page; () where the document is not tagged."""
        tree = _raw.FPDF_StructTree_GetForPage(page)
        if not tree:
            return ()
        self._met = set()
        try:
            count = max(_raw.FPDF_StructTree_CountChildren(tree), 0)
            found = (self._element(_raw.FPDF_StructTree_GetChildAtIndex(tree, at), 0) for at in self._places(count))
            return tuple(element for element in found if element is not None)
        finally:
            _raw.FPDF_StructTree_Close(tree)

    def _places(self, count: int) -> range:
        allowed = min(count, self._children_left, _MAX_CHILDREN_OF_ONE)
        self._children_left -= allowed
        return range(allowed)

    def _element(self, handle: PdfHandle, depth: int) -> Element | None:
        if not handle or depth > _MAX_DEPTH:
            return None
        address = ctypes.cast(handle, ctypes.c_void_p).value or 0
        if address in self._met:
            return None
        self._met.add(address)
        kind = _string(_raw.FPDF_StructElement_GetType, handle, _MAX_NAME_BYTES)
        children = tuple(self._children(handle, depth))
        alt = _string(_raw.FPDF_StructElement_GetAltText, handle, _MAX_ALT_BYTES)
        if not alt and not children:
            alt = _string(_raw.FPDF_StructElement_GetActualText, handle, _MAX_ALT_BYTES)
        if kind not in _CELLS:
            return Element(kind, children, alt)
        return Element(kind, children, alt, _span(handle, b"ColSpan"), _span(handle, b"RowSpan"))

    def _children(self, handle: PdfHandle, depth: int) -> Iterator[Element | int]:
        for at in self._places(max(_raw.FPDF_StructElement_CountChildren(handle), 0)):
            content = _raw.FPDF_StructElement_GetChildMarkedContentID(handle, at)
            if content >= 0:
                yield content
            elif child := self._element(_raw.FPDF_StructElement_GetChildAtIndex(handle, at), depth + 1):
                yield child


def _string(ask: Callable[..., int], handle: PdfHandle, max_bytes: int) -> str:
    """Return a string that PDFium gives as UTF-16 with a NUL at its end; a longer one is left out."""
    size_bytes = ask(handle, None, 0)
    if not 2 < size_bytes <= max_bytes:
        return ""
    buffer = ctypes.create_string_buffer(size_bytes)
    ask(handle, buffer, size_bytes)
    return buffer.raw[: size_bytes - 2].decode("utf-16-le", "replace")


def _span(cell: PdfHandle, name: bytes) -> int:
    for at in range(min(_raw.FPDF_StructElement_GetAttributeCount(cell), _MAX_SPAN)):
        attribute = _raw.FPDF_StructElement_GetAttributeAtIndex(cell, at)
        value = _raw.FPDF_StructElement_Attr_GetValue(attribute, name) if attribute else None
        number = ctypes.c_float()
        if value and _raw.FPDF_StructElement_Attr_GetNumberValue(value, ctypes.byref(number)):
            return int(min(max(number.value, 1), _MAX_SPAN))
    return 1
