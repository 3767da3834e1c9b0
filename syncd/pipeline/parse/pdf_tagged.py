"""Pages of a tagged PDF, read by its structure tree."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.pipeline.parse.pdf_structure import RunningHeads, structured, tells
from syncd.pipeline.parse.pdfium import PdfDocument, PdfiumError, is_tagged
from syncd.pipeline.parse.pdfium_structure import Element, StructureReader
from syncd.pipeline.parse.pdfium_text import page_content


class TaggedPages:
    """Reads a document's pages by its structure tree where it has one that tells more than the page's looks."""

    def __init__(self, document: PdfDocument) -> None:
        self._document = document
        self._reader = StructureReader() if is_tagged(document) else None
        self._heads = RunningHeads()

    def read(self, numbers: range) -> dict[int, str]:
        """Return the Markdown of those of the pages that can be read so."""
        if self._reader is None:
            return {}
        trees = {number: self._tree(number, self._reader) for number in numbers}
        if not any(map(tells, trees.values())):
            return {}
        pages = {number: self._markdown(number, tree) for number, tree in trees.items() if tree}
        return {number: text for number, text in pages.items() if text}

    def _tree(self, number: int, reader: StructureReader) -> tuple[Element, ...]:
        try:
            page = self._document[number - 1]
        except PdfiumError:
            return ()
        try:
            return reader.elements(page)
        finally:
            page.close()

    def _markdown(self, number: int, tree: Sequence[Element]) -> str:
        try:
            page = self._document[number - 1]
            text_page = page.get_textpage()
        except PdfiumError:
            return ""
        try:
            content = page_content(self._document, page, text_page)
        finally:
            text_page.close()
            page.close()
        return structured(tree, content, number, self._heads)
