"""The pictures on a PDF page that has text of its own: figures and photos, not ornaments and not the page's background."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import import_module
from typing import Any

_pdfium: Any = import_module("pypdfium2")  # it carries no type information
_raw: Any = import_module("pypdfium2.raw")
_MAX_A_PAGE = 20
_MAX_SHARE = 0.7
"""Of the page: what covers more is a scan under its own text layer, or a background."""
_MAX_SIDE = 2200
_DEPTH = 4


def pictures_on(document: Any, number: int, min_side_pixels: int, max_pixels: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pictures of page `number` (from 1) as PNG with their places in drawing order, counted from 1.

    Ornaments, backgrounds and broken ones are counted but left out.
    """
    try:
        page = document[number - 1]
    except _pdfium.PdfiumError:
        return
    try:
        width, height = page.get_size()
        found = 0
        for place, item in enumerate(page.get_objects(filter=(_raw.FPDF_PAGEOBJ_IMAGE,), max_depth=_DEPTH), 1):
            left, bottom, right, top = item.get_bounds()
            columns, rows = item.get_px_size()
            covered = max(right - left, 0) * max(top - bottom, 0) / max(width * height, 1)
            if covered > _MAX_SHARE or min(columns, rows) < min_side_pixels or columns * rows > max_pixels:
                continue
            found += 1
            if found > _MAX_A_PAGE:
                return
            if (data := _encoded(item)) is not None:
                yield place, data
    except _pdfium.PdfiumError:
        return
    finally:
        page.close()


def _encoded(item: Any) -> bytes | None:
    try:
        picture = item.get_bitmap().to_pil().convert("RGB")
    except (_pdfium.PdfiumError, ValueError, OSError):
        return None
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()
