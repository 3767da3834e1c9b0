"""What liteparse, pdf-inspector and PDFium read on pages of a PDF, and which of them is right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from syncd.pipeline.parse.pdf_choice import GOOD_ENOUGH, agreement, better, with_headings
from syncd.pipeline.parse.pdf_columns import PdfLine, in_columns
from syncd.pipeline.parse.pdf_hyphens import BROKEN, Hyphens, marked
from syncd.pipeline.parse.pdf_notes import notes
from syncd.pipeline.parse.pdf_rule_reading import with_ruled_tables
from syncd.pipeline.parse.pdfium import PdfDocument, PdfiumError
from syncd.pipeline.parse.task import Task

if TYPE_CHECKING:
    from liteparse.types import ParsedPage

_UNDERLINE = re.compile("</?u>")
_FEW_CHARACTERS = 16
_SAME_ORDER = 0.9
_MUCH_BETTER = 0.04
"""By so much another reading must agree more with the text for ruled tables to count less than it: their cells are read whole, and
text goes on from line to line.
"""
_SECOND_READING_PAGES = 300
_SECOND_READING_BYTES = 32 << 20


class Readings:
    """All readings of a window of pages."""

    def __init__(self, task: Task, document: PdfDocument, numbers: range, tagged: Mapping[int, str]) -> None:
        self._task = task
        self._document = document
        self._numbers = numbers
        self._tagged = tagged
        self._first = _first_reading(task, numbers)
        self._second: dict[int, str] | None = None
        self._plain = {number: _plain_text(document, number) for number in numbers}
        self._columns = {number: text for number in numbers if (text := self._in_columns(number))}
        self._plain |= self._columns
        self._hyphens = Hyphens(self._plain.values())

    def label(self, number: int) -> str:
        """Return what a reader shows as the page's number; '' when that is it."""
        page = self._first.get(number)
        return (page.page_label or "") if page is not None else ""

    def notes(self, number: int, text: str) -> Iterator[str]:
        """Yield the notes on a page that are not in its `text`."""
        page = self._first.get(number)
        return iter(()) if page is None else notes(self._task, page, text)

    def has_text(self, number: int) -> bool:
        """Say whether a page has a text layer."""
        return max(len(self._markdown(number).strip()), len(self._plain[number].strip())) >= _FEW_CHARACTERS

    def best(self, number: int) -> str:
        """Return the reading that is most likely right."""
        if number in self._tagged:
            return self._hyphens.joined(self._tagged[number])
        broken = self._plain[number]
        plain, first = self._hyphens.joined(broken), self._hyphens.mended(self._markdown(number), broken)
        good = agreement(first, plain)
        again = "" if good >= GOOD_ENOUGH else self._hyphens.mended(self._again(number), broken)
        if good + _MUCH_BETTER >= agreement(again, plain) and (text := self._with_tables(number)):
            return self._hyphens.mended(self._hyphens.joined(text), broken)
        best = nearest_reading(first, again, plain)
        return with_headings(plain, best) if number in self._columns and agreement(best, plain) < _SAME_ORDER else best

    def _with_tables(self, number: int) -> str:
        page = self._first.get(number)
        return with_ruled_tables(page) if page is not None else ""

    def _markdown(self, number: int) -> str:
        page = self._first.get(number)
        return _without_underlines(page.markdown, self._plain.get(number, "")) if page is not None else ""

    def _in_columns(self, number: int) -> str:
        page = self._first.get(number)
        items = page.text_items if page is not None else []
        lines = [PdfLine(item.text, item.x, item.y, item.width, item.height) for item in items]
        return marked(in_columns(lines, self._plain[number]) or "")

    def _again(self, number: int) -> str:
        if self._second is None:
            self._second = _second_reading(self._task, self._document, self._numbers)
        return self._second.get(number, "")


def _first_reading(task: Task, numbers: range) -> dict[int, ParsedPage]:
    """Return what liteparse makes of the pages; nothing where it fails."""
    from liteparse.parser import LiteParse
    from liteparse.types import ParseError

    parser = LiteParse(
        ocr_enabled=False,
        output_format="markdown",
        target_pages=f"{numbers[0]}-{numbers[-1]}",
        continue_on_page_error=True,
        quiet=True,
        extract_annotations=True,
        extract_form_fields=True,
        extract_blocks=True,
        extract_vector_graphics=True,
        emit_word_boxes=True,
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


def _plain_text(document: PdfDocument, number: int) -> str:
    """Return PDFium's text of page `number`, broken words with their mark; '' where it cannot be read."""
    try:
        page = document[number - 1]
        text_page = page.get_textpage()
        text = text_page.get_text_bounded()
        text_page.close()
        page.close()
    except PdfiumError:
        return ""
    return text.replace("\r\n", "\n").replace("\x02", BROKEN)


def _without_underlines(markdown: str, plain: str) -> str:
    """Return a reading without marks of underlines, which Markdown has none of and which are rules as often as not."""
    return markdown if "<u>" in plain else _UNDERLINE.sub("", markdown)


def nearest_reading(text: str, other: str, plain: str) -> str:
    """Return the reading nearest to the plain text; that itself where all others lost words."""
    text = text if covers(text, plain) else ""
    best = better(text, other, plain) if covers(other, plain) else text
    return best or plain


def covers(markdown: str, plain: str) -> bool:
    """Say whether `markdown` holds at least two thirds of the words that `plain` has."""
    words = Counter(_words(plain))
    return sum((words & Counter(_words(markdown))).values()) * 3 >= sum(words.values()) * 2


def _words(text: str) -> Sequence[str]:
    return re.findall(r"\w+", text)
