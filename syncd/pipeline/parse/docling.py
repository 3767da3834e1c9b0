"""The optional converter: docling with its layout and table models, for machines that have downloaded them.

`pip install 'syncd[docling]'` and `docling-tools models download`; the models' folder is `PreparerSettings.models`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Protocol

from syncd.errors import PermanentError
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task


class ConvertedDocument(Protocol):
    """What docling makes, as far as it is used here."""

    @property
    def pages(self) -> Mapping[int, object]:
        """Its pages by number; none where its format has none."""
        ...

    def export_to_markdown(self, *, page_no: int | None = None) -> str:
        """Return one page, or all of it."""
        ...


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the whole document, page by page where it has pages. Raises PermanentError: not installed, not readable."""
    document = _convert(task)
    out = Markdown(task.limits)
    numbers = sorted(document.pages)
    for number in numbers:
        out.page(int(number))
        out.block(document.export_to_markdown(page_no=number))
    if not numbers:
        out.block(document.export_to_markdown())
    yield out.take()


def _convert(task: Task) -> ConvertedDocument:
    try:
        converters = import_module("docling.document_converter")
        options = import_module("docling.datamodel.pipeline_options")
        models = import_module("docling.datamodel.base_models")
        exceptions = import_module("docling.exceptions")
    except ImportError as error:
        raise PermanentError(
            f"{task.name} needs docling, which is not installed: pip install 'syncd[docling]' ({error})"
        ) from error
    settings = options.PdfPipelineOptions(artifacts_path=str(task.models) if task.models else None)
    choice = {models.InputFormat.PDF: converters.PdfFormatOption(pipeline_options=settings)}
    path = task.path.rename(task.path.with_suffix(task.format.docling))
    try:
        converter = converters.DocumentConverter(format_options=choice)
        return converter.convert(path, max_num_pages=task.limits.pages).document
    except (exceptions.BaseError, OSError, RuntimeError, ValueError) as error:
        raise PermanentError(f"{task.name} could not be read by docling: {' '.join(str(error).split())}") from error
