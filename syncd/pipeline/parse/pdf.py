"""PDF: liteparse in windows of pages, held against PDFium's own text; pages without a text layer are read by OCR."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from syncd.errors import PermanentError
from syncd.pipeline.parse import ocr
from syncd.pipeline.parse.html import with_pictures
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.pdf_choice import GOOD_ENOUGH, agreement, better
from syncd.pipeline.parse.pdf_pictures import pictures_on
from syncd.pipeline.parse.pdfium import PdfDocument, PdfiumError, open_pdf
from syncd.pipeline.parse.task import PAGES_PER_PART, Markdown, ParsedPiece, Task

if TYPE_CHECKING:
    from liteparse.types import ParsedPage

_SCAN_PAGES_PER_PART = 10
_PLACEHOLDER = re.compile(r"img_p\d+_(\d+)\.\w+")
_FEW_CHARACTERS = 16
_SECOND_READING_PAGES = 300
_SECOND_READING_BYTES = 32 << 20
_RENDER_SCALE = 200 / 72
_MAX_RENDERED_PIXELS = 12_000_000


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield windows of pages, a page mark each. Raises PermanentError: damaged, encrypted, too many pages."""
    document = _open(task)
    try:
        pages = len(document)
        if pages > task.limits.pages:
            raise PermanentError(f"{task.name} has {pages:,} pages, over the limit of {task.limits.pages:,}: split it")
        out, pictures = Markdown(task.limits), Pictures(task)
        for first in range(1, pages + 1, PAGES_PER_PART):
            yield from _window(task, document, range(first, min(first + PAGES_PER_PART, pages + 1)), out, pictures)
    finally:
        document.close()


def _open(task: Task) -> PdfDocument:
    try:
        return open_pdf(task.path)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise PermanentError(f"{task.name} is encrypted: save it without a password") from error
        raise PermanentError(f"{task.name} is a damaged PDF: it cannot be opened ({error})") from error


def _window(
    task: Task, document: PdfDocument, numbers: range, out: Markdown, pictures: Pictures
) -> Iterator[ParsedPiece]:
    parsed = _parse(task, numbers)
    others: dict[int, str] | None = None
    scanned = 0
    for number in numbers:
        page = parsed.get(number)
        text = page.markdown if page is not None else ""
        plain = _plain_text(document, number)
        label = (page.page_label or "") if page is not None else ""
        out.page(number, label)
        seen: list[str] = []
        if len(text.strip()) < _FEW_CHARACTERS and len(plain.strip()) < _FEW_CHARACTERS:
            seen = [block for block in _scan(task, document, number) if block.strip()]
            scanned += 1
        if not seen and others is None and agreement(text, plain) < GOOD_ENOUGH:
            others = _second_reading(task, document, numbers)
        if seen:
            out.blocks(seen)
        else:
            chosen = _chosen(text, (others or {}).get(number, ""), plain)
            yield from _with_pictures(task, document, number, chosen, out, pictures)
        if (seen and scanned % _SCAN_PAGES_PER_PART == 0) or pictures.tiring():
            yield out.take()
    yield out.take()


def _with_pictures(
    task: Task, document: PdfDocument, number: int, text: str, out: Markdown, pictures: Pictures
) -> Iterator[ParsedPiece]:
    """Add a page's text with the words of its pictures where liteparse names them, below the text where it does not."""
    wanted = pictures.wanted
    found = dict(pictures_on(document, number, task.ocr.min_side_pixels, task.limits.pixels)) if wanted else {}

    def load(address: str) -> bytes | None:
        name = _PLACEHOLDER.fullmatch(address)
        return found.pop(int(name[1]), b"") if name else None

    yield from with_pictures(text, out, pictures, load)
    for data in found.values():
        out.block(pictures.words(data, ""))
        for taken in pictures.taken():
            out.picture(taken)


def _parse(task: Task, numbers: range) -> dict[int, ParsedPage]:
    from liteparse.parser import LiteParse
    from liteparse.types import ParseError

    parser = LiteParse(
        ocr_enabled=False,
        output_format="markdown",
        target_pages=f"{numbers[0]}-{numbers[-1]}",
        continue_on_page_error=True,
        quiet=True,
    )
    try:
        return {page.page_num: page for page in parser.parse(str(task.path)).pages}
    except (ParseError, RuntimeError, ValueError):
        return {}  # PDFium's plain text stands in for these pages


def _second_reading(task: Task, document: PdfDocument, numbers: range) -> dict[int, str]:
    """Return pdf-inspector's Markdown by page; nothing for large documents, which it loads whole for every window."""
    if len(document) > _SECOND_READING_PAGES or task.path.stat().st_size > _SECOND_READING_BYTES:
        return {}
    from pdf_inspector import extract_pages_markdown

    try:
        result = extract_pages_markdown(str(task.path), [number - 1 for number in numbers])
    except (RuntimeError, ValueError, OSError):
        return {}
    return {numbers[0] + at: page.markdown for at, page in enumerate(result.pages)}


def _chosen(text: str, other: str, plain: str) -> str:
    text = text if covers(text, plain) else ""
    best = better(text, other, plain) if covers(other, plain) else text
    return best or plain


def _plain_text(document: PdfDocument, number: int) -> str:
    try:
        page = document[number - 1]
        text_page = page.get_textpage()
        text = text_page.get_text_bounded()
        text_page.close()
        page.close()
    except PdfiumError:
        return ""
    return text.replace("\r\n", "\n").replace("\ufffe", "")


def covers(markdown: str, plain: str) -> bool:
    """Say whether `markdown` holds at least two thirds of the words that `plain` has."""
    words = Counter(_words(plain))
    return sum((words & Counter(_words(markdown))).values()) * 3 >= sum(words.values()) * 2


def _words(text: str) -> Sequence[str]:
    return re.findall(r"\w+", text)


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
    yield from ocr.page_blocks(image, task.ocr)
