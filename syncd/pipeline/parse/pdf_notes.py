"""What is attached to a PDF and its pages: comments and form fields are read, attached files are said to be unread."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.pdfium import PdfDocument, PdfiumError
from syncd.pipeline.parse.task import Task

if TYPE_CHECKING:
    from liteparse.types import DocumentAnnotation, FormField, ParsedPage

_MAX_A_PAGE = 2_000
_NO_COMMENTS = ("link", "widget", "popup")
_NO_VALUES = ("pushbutton", "signature")
_PASSWORD = 1 << 13
"""Field flag of ISO 32000-1, table 228."""


def notes(task: Task, page: ParsedPage, text: str) -> Iterator[str]:
    """Yield, as blocks, the comments on a page and what its form fields hold, but nothing that is in `text` already."""
    known = " ".join(text.split())
    for annotation in islice(page.annotations or (), _MAX_A_PAGE):
        if annotation.subtype == "fileattachment":
            task.warn("attachment_unread", f"a file attached to page {page.page_num} was not read")
        words = " ".join((annotation.contents or "").split())
        if words and words not in known and annotation.subtype not in _NO_COMMENTS:
            yield gfm.paragraph(_comment(annotation, words))
    for field in islice(page.form_fields or (), _MAX_A_PAGE):
        value = "" if field.field_flags & _PASSWORD else _value(field)
        if value:
            yield gfm.paragraph(f"{(field.alternate_name or field.name or 'Field').strip()}: {value}")


def _comment(annotation: DocumentAnnotation, words: str) -> str:
    if annotation.subtype == "freetext":
        return words
    author = " ".join((annotation.title or "").split())
    return f"Comment by {author}: {words}" if author else f"Comment: {words}"


def _value(field: FormField) -> str:
    if field.checked is not None:
        return (field.export_value or "yes") if field.checked else ""
    if field.type in _NO_VALUES or field.value == "Off":
        return ""
    return "\n".join((field.value or ", ".join(field.selected_options)).split("\r")).strip()


def say_attachments(task: Task, document: PdfDocument) -> None:
    """Warn of the files that are embedded in a document."""
    try:
        count = document.count_attachments()
        name = document.get_attachment(0).get_name() if count > 0 else ""
    except (PdfiumError, UnicodeDecodeError):
        return
    if count > 0:
        task.warn("attachment_unread", f"the file {name!r} in it was not read", count)
