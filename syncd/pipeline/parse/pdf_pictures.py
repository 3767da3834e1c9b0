"""The pictures on a PDF page that has text of its own: figures and photos, not ornaments and not the page's background."""

from __future__ import annotations

import io
from collections.abc import Iterator

from syncd.pipeline.parse.pdfium import IMAGE_OBJECT, PdfDocument, PdfImage, PdfiumError

_MAX_A_PAGE = 20
_MAX_SHARE = 0.7
"""Of the page: what covers more is a scan under its own text layer, or a background."""
_MAX_SIDE = 2200
_DEPTH = 4


def pictures_on(
    document: PdfDocument, number: int, min_side_pixels: int, max_pixels: int
) -> Iterator[tuple[int, bytes]]:
    """Yield the pictures of page `number` (from 1) as PNG with their places in drawing order, counted from 1.

    Ornaments, backgrounds and broken ones are counted but left out.
    """
    try:
        page = document[number - 1]
    except PdfiumError:
        return
    try:
        width, height = page.get_size()
        found = 0
        for place, item in enumerate(page.get_objects(filter=(IMAGE_OBJECT,), max_depth=_DEPTH), 1):
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
    except PdfiumError:
        return
    finally:
        page.close()


def _encoded(item: PdfImage) -> bytes | None:
    try:
        picture = item.get_bitmap().to_pil().convert("RGB")
    except (PdfiumError, ValueError, OSError):
        return None
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()
