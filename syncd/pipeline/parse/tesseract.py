"""Tesseract itself, by its C interface: words with the blocks, paragraphs and lines that it puts them in, in its reading order."""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image

_LIBRARIES = ("libtesseract.so.5", "libtesseract.so.4")
"""Of the versions that distributions ship; both have the functions used here."""
_COLUMNS = 12
_WORD_LEVEL = "5"
"""In the first column of its TSV."""
_DPI = 200
FIND_BLOCKS = 3
"""PSM_AUTO, as its command does: without being told it takes a page for one block, and columns for one line."""
ONE_BLOCK = 6
"""PSM_SINGLE_BLOCK: what is so small that it sees nothing in it by itself."""


@dataclass(frozen=True, slots=True)
class SeenWord:
    """A word where it stands, in pixels; `line` numbers its block, its paragraph in that and its line in that."""

    text: str
    left: int
    top: int
    width: int
    height: int
    confidence: float
    """0 to 1."""
    line: tuple[int, int, int]


@cache
def _library() -> ctypes.CDLL | None:
    os.environ["OMP_THREAD_LIMIT"] = "1"  # its threads cost address space and win nothing on pages
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.TessBaseAPICreate.restype = ctypes.c_void_p
        library.TessBaseAPIInit3.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
        library.TessBaseAPISetPageSegMode.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.TessBaseAPISetImage.argtypes = (ctypes.c_void_p, ctypes.c_char_p, *[ctypes.c_int] * 4)
        library.TessBaseAPISetSourceResolution.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.TessBaseAPIRecognize.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        library.TessBaseAPIGetTsvText.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.TessBaseAPIGetTsvText.restype = ctypes.c_void_p
        library.TessBaseAPIDelete.argtypes = library.TessBaseAPIClear.argtypes = library.TessDeleteText.argtypes = (
            ctypes.c_void_p,
        )
        return library
    return None


def is_installed() -> bool:
    """Say whether Tesseract's library is here."""
    return _library() is not None


@cache
def _engine(data: str, languages: str) -> int | None:
    """Return an engine that has its language data loaded; None where there is none."""
    library = _library()
    handle = library.TessBaseAPICreate() if library is not None else None
    if library is None or not handle or library.TessBaseAPIInit3(handle, data.encode(), languages.encode()) != 0:
        return None
    atexit.register(library.TessBaseAPIDelete, handle)  # else it complains of its own leaks
    return handle


def page_words(picture: Image.Image, data: str, languages: Sequence[str], mode: int = FIND_BLOCKS) -> list[SeenWord]:
    """Return the words seen in an RGB picture in reading order; none where Tesseract's library is not installed.

    `data` is the folder with the data of `languages`.
    """
    library, handle = _library(), _engine(data, "+".join(languages))
    if library is None or handle is None:
        return []
    width, height = picture.size
    library.TessBaseAPISetPageSegMode(handle, mode)
    library.TessBaseAPISetImage(handle, picture.tobytes(), width, height, 3, 3 * width)
    library.TessBaseAPISetSourceResolution(handle, _DPI)
    address = library.TessBaseAPIGetTsvText(handle, 0) if library.TessBaseAPIRecognize(handle, None) == 0 else None
    table = ctypes.string_at(address).decode("utf-8", "replace") if address else ""
    if address:
        library.TessDeleteText(address)
    library.TessBaseAPIClear(handle)
    return list(_words(table))


def _words(table: str) -> Iterator[SeenWord]:
    for row in table.split("\n"):
        cells = row.split("\t")
        if len(cells) < _COLUMNS or cells[0] != _WORD_LEVEL or not cells[11].strip():
            continue
        block, paragraph, line, _, left, top, width, height = map(int, cells[2:10])
        yield SeenWord(cells[11].strip(), left, top, width, height, float(cells[10]) / 100, (block, paragraph, line))
