"""Which module reads which format; each is imported when first needed, since most processes see few formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from syncd.errors import PermanentError
from syncd.pipeline.parse.formats import Format
from syncd.pipeline.parse.task import Piece, Task

Reader = Callable[[Task], Iterator[Piece]]

_MODULES: dict[Format, str] = {
    Format.PDF: "pdf",
    Format.DOCX: "docx",
    Format.PPTX: "pptx",
    Format.SHEET: "sheets",
    Format.CSV: "delimited",
    Format.ODF: "odf",
    Format.HTML: "html",
    Format.EPUB: "epub",
    Format.IMAGE: "image",
}


_DOCLING = frozenset({Format.PDF, Format.DOCX, Format.PPTX, Format.HTML, Format.IMAGE})
"""What the optional converter takes over; everything else goes the built-in way."""


def read(task: Task) -> Iterator[Piece]:
    """Yield the document's text. Raises PermanentError in words its owner understands; MemoryError over the limit."""
    name = "docling" if task.converter == "docling" and task.format in _DOCLING else _MODULES[task.format]
    reader: Reader = import_module(f"syncd.pipeline.parse.{name}").read
    found = False
    try:
        for piece in reader(task):
            if piece.part.text.strip() or piece.pictures:
                found = True
                yield piece
    except RecursionError as error:
        raise PermanentError(f"{task.name} is nested too deeply to be read") from error
    if not found:
        raise PermanentError(f"{task.name} holds no text that could be read: nothing to index")
