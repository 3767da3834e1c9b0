"""PDFium as far as it is used here: the bindings carry no type information."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

_pdfium = import_module("pypdfium2")
_raw = import_module("pypdfium2.raw")

PdfiumError: type[Exception] = _pdfium.PdfiumError
IMAGE_OBJECT: int = _raw.FPDF_PAGEOBJ_IMAGE


class PdfBitmap(Protocol):
    """Pixels."""

    def to_pil(self) -> Image.Image:
        """Return them as Pillow's."""
        ...


class PdfImage(Protocol):
    """A picture on a page."""

    def get_bounds(self) -> tuple[float, float, float, float]:
        """Return left, bottom, right and top on the page, in points."""
        ...

    def get_px_size(self) -> tuple[int, int]:
        """Return its width and height in pixels."""
        ...

    def get_bitmap(self) -> PdfBitmap:
        """Return its pixels. Raises PdfiumError."""
        ...


class PdfTextPage(Protocol):
    """The text layer of a page."""

    def get_text_bounded(self) -> str:
        """Return all of it."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class PdfPage(Protocol):
    """A page."""

    def get_size(self) -> tuple[float, float]:
        """Return its width and height in points."""
        ...

    def get_textpage(self) -> PdfTextPage:
        """Return its text layer. Raises PdfiumError."""
        ...

    def get_objects(self, filter: Sequence[int], max_depth: int) -> Iterable[PdfImage]:  # noqa: A002 - its name
        """Return what is drawn on it, where `filter` is IMAGE_OBJECT alone."""
        ...

    def render(self, *, scale: float) -> PdfBitmap:
        """Return it drawn, so many pixels a point. Raises PdfiumError."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class PdfAttachment(Protocol):
    """A file in a file."""

    def get_name(self) -> str:
        """Return its name."""
        ...


class PdfDocument(Protocol):
    """A file, its pages counted from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> PdfPage: ...

    def count_attachments(self) -> int:
        """Return how many files are embedded in it."""
        ...

    def get_attachment(self, index: int) -> PdfAttachment:
        """Return one of them, counted from 0. Raises PdfiumError."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


def is_tagged(document: PdfDocument) -> bool:
    """Say whether a document has a structure tree."""
    return bool(_raw.FPDFCatalog_IsTagged(document))


def open_pdf(path: Path) -> PdfDocument:
    """Open a file. Raises PdfiumError."""
    return _pdfium.PdfDocument(str(path))
