"""PDF in windows of pages: by its structure tree where it is tagged, by liteparse held against PDFium's own text where it is not,
by OCR where a page has no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from syncd.errors import PermanentError
from syncd.pipeline.parse import ocr
from syncd.pipeline.parse.html import with_pictures
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.pdf_notes import say_attachments
from syncd.pipeline.parse.pdf_page_tables import PageTables
from syncd.pipeline.parse.pdf_pictures import pictures_on
from syncd.pipeline.parse.pdf_readings import Readings
from syncd.pipeline.parse.pdf_tagged import TaggedPages
from syncd.pipeline.parse.pdfium import PdfDocument, PdfiumError, open_pdf
from syncd.pipeline.parse.task import PAGES_PER_PART, Markdown, ParsedPiece, Task

_SCAN_PAGES_PER_PART = 10
_PLACEHOLDER = re.compile(r"img_p\d+_(\d+)\.\w+")
_RENDER_SCALE = 200 / 72
_MAX_RENDERED_PIXELS = 12_000_000


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield windows of pages, a page mark each. Raises PermanentError: damaged, encrypted, too many pages."""
    document = _open(task)
    try:
        pages = len(document)
        if pages > task.limits.pages:
            raise PermanentError(f"{task.name} has {pages:,} pages, over the limit of {task.limits.pages:,}: split it")
        reader = _Reader(task, document, Markdown(task.limits), Pictures(task), TaggedPages(document), PageTables())
        say_attachments(task, document)
        for first in range(1, pages + 1, PAGES_PER_PART):
            yield from reader.window(range(first, min(first + PAGES_PER_PART, pages + 1)))
    finally:
        document.close()


def _open(task: Task) -> PdfDocument:
    try:
        return open_pdf(task.path)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise PermanentError(f"{task.name} is encrypted: save it without a password") from error
        raise PermanentError(f"{task.name} is a damaged PDF: it cannot be opened ({error})") from error


@dataclass(frozen=True, slots=True)
class _Reader:
    task: Task
    document: PdfDocument
    out: Markdown
    pictures: Pictures
    tagged: TaggedPages
    tables: PageTables

    def window(self, numbers: range) -> Iterator[ParsedPiece]:
        """Yield pages that are parsed together."""
        readings = Readings(self.task, self.document, numbers, self.tagged.read(numbers))
        scanned = 0
        for number in numbers:
            self.out.page(number, readings.label(number))
            seen: list[str] = []
            if not readings.has_text(number):
                seen = [block for block in _scan(self.task, self.document, number) if block.strip()]
                scanned += 1
            text = "\n\n".join(seen) or readings.best(number)
            if seen:
                self.tables.interrupted()
                self.out.blocks(seen)
            else:
                page = self.tables.page(text)
                if page.rows:
                    self.out.rows(page.rows, page.header)
                yield from self._with_pictures(number, page.text)
            if notes := list(readings.notes(number, text)):
                self.tables.interrupted()
                self.out.blocks(notes)
            if (seen and scanned % _SCAN_PAGES_PER_PART == 0) or self.pictures.tiring():
                yield self.out.take()
        yield self.out.take()

    def _with_pictures(self, number: int, text: str) -> Iterator[ParsedPiece]:
        """Add a page's text with the words of its pictures where the text names them, below it where it does not."""
        limits = (self.task.ocr.min_side_pixels, self.task.limits.pixels)
        found = dict(pictures_on(self.document, number, *limits)) if self.pictures.wanted else {}

        def load(address: str) -> bytes | None:
            name = _PLACEHOLDER.fullmatch(address)
            return found.pop(int(name[1]), b"") if name else None

        yield from with_pictures(text, self.out, self.pictures, load)
        for data in found.values():
            self.tables.interrupted()
            self.out.block(self.pictures.words(data, ""))
            for taken in self.pictures.taken():
                self.out.picture(taken)


def _scan(task: Task, document: PdfDocument, number: int) -> Iterator[str]:
    if not task.ocr.enabled:
        return
    try:
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(_RENDER_SCALE, (_MAX_RENDERED_PIXELS / max(width * height, 1)) ** 0.5)
        image = page.render(scale=scale).to_pil().convert("RGB")
        page.close()
    except PdfiumError:
        return
    if not image.getbbox() or image.getextrema() == ((255, 255),) * 3:
        return
    yield from ocr.page_blocks(image, task)
