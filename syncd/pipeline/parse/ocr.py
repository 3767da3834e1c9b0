"""Text in pictures: Tesseract (inside liteparse) where its language data is installed, else RapidOCR, whose wheel brings its own (`ocr_engine.py`)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from syncd.pipeline.parse.ocr_engine import NO_ENGINE, can_read, tessdata
from syncd.pipeline.parse.ocr_page import page_markdown
from syncd.pipeline.parse.task import Task
from syncd.pipeline.parse.tesseract import ONE_BLOCK, SeenWord, is_installed, page_words

if TYPE_CHECKING:
    from liteparse.parser import LiteParse
    from rapidocr import RapidOCR

_MAX_SIDE = 2200
_MIN_SIDE = 1000
_PAGE_SIDE = 2340
"""A page of A4 at 200 dpi."""
_CELL_BORDER = 20
"""Pixels of white around a cell: Tesseract sees little in writing that touches the edge."""
_CELL_CONFIDENCE = 0.5
_MAX_ENLARGED = 3.0
_RAPID_SIDE = 1600
"""RapidOCR looks for lines in a picture of this size and reads them one by one: its own settings take up to 1.5 GiB of address
space a page, these 1.1 GiB at most, find the same words and are a sixth faster."""
_NO_MEMORY = re.compile(r"bad_alloc|allocate memory|Insufficient memory", re.I)
_MIN_LETTERS = 4
_MIN_WORDS = 2


@cache
def liteparse(languages: tuple[str, ...], pages: str | None = None) -> LiteParse:
    """Return a liteparse parser with OCR by Tesseract for `languages`, or without any when they are ()."""
    from liteparse.parser import LiteParse

    if not languages:
        return LiteParse(ocr_enabled=False, output_format="markdown", target_pages=pages, num_workers=1, quiet=True)
    return LiteParse(
        ocr_enabled=True,
        ocr_language="+".join(languages),
        # without the path it would fetch language data from the network
        tessdata_path=tessdata(languages),
        ocr_failure_fatal=False,
        output_format="markdown",
        target_pages=pages,
        num_workers=1,
        quiet=True,
    )


def page_blocks(page: Image.Image, task: Task) -> Iterable[str]:
    """Return the Markdown blocks of a scanned page; nothing when OCR is off, cannot be had (a warning says so) or sees nothing."""
    settings = task.ocr
    if not _is_read(task):
        return
    page = _page_sized(page)
    if data := tessdata(settings.languages):
        if is_installed():
            read = partial(page_words, data=data, languages=settings.languages)
            yield from page_markdown(page, read, partial(_cell, data=data, languages=settings.languages))
            return
        result = liteparse(settings.languages).parse(_png(page))
        yield from (found.markdown for found in result.pages if any(map(str.isalnum, found.text)))
        return
    yield from paragraphs(_rapid_boxes(page, settings.min_confidence))


def _is_read(task: Task) -> bool:
    if task.ocr.enabled and not can_read(task.ocr):
        task.warn("picture_unread", NO_ENGINE)
        return False
    return task.ocr.enabled


def _cell(picture: Image.Image, data: str, languages: Sequence[str]) -> Sequence[SeenWord]:
    wider = ImageOps.expand(picture, _CELL_BORDER, "white")
    return [word for word in page_words(wider, data, languages, ONE_BLOCK) if word.confidence >= _CELL_CONFIDENCE]


def picture_text(picture: Image.Image, task: Task) -> str:
    """Return what can be read in a picture on one line; '' when it is too little or too unsure to be writing."""
    settings = task.ocr
    if not _is_read(task):
        return ""
    picture = _scaled(picture)
    data = tessdata(settings.languages)
    if data and is_installed():
        seen = [(word.text, word.confidence) for word in page_words(picture, data, settings.languages)]
    elif data:
        pages = liteparse(settings.languages).parse(_png(picture)).pages
        seen = [(item.text, item.confidence or 0) for page in pages for item in page.text_items]
    else:
        seen = [(text, 1.0) for _, text in _rapid_boxes(picture, settings.min_confidence)]
    words = [text for text, confidence in seen if confidence >= settings.min_confidence]
    return looks_like_writing(" ".join(" ".join(words).split()))


def looks_like_writing(text: str) -> str:
    """Return `text` when it looks like writing rather than shapes taken for letters."""
    words = [word for word in text.split() if sum(character.isalnum() for character in word) >= 2]
    letters = sum(character.isalnum() for character in text)
    dense = letters >= 0.6 * len(text.replace(" ", ""))
    return text if dense and letters >= _MIN_LETTERS and len(words) >= _MIN_WORDS else ""


def _page_sized(page: Image.Image) -> Image.Image:
    """Return a page at the size at which headings are told from text by their height."""
    longest = max(page.size)
    return _resized(page, min(_PAGE_SIDE / longest, _MAX_ENLARGED))


def _scaled(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest > _MAX_SIDE:
        scale = _MAX_SIDE / longest
    elif longest < _MIN_SIDE:
        scale = min(_MAX_ENLARGED, _MIN_SIDE / longest)
    else:
        return picture
    return _resized(picture, scale)


def _resized(picture: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


@cache
def _rapid() -> RapidOCR:
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(1)  # it starts one thread a core, each with 8 MiB of address space for its stack
    parameters = {
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Det.limit_type": "max",
        "Det.limit_side_len": _RAPID_SIDE,
        "Rec.rec_batch_num": 1,
        "Global.log_level": "error",
    }
    return RapidOCR(params=parameters)


Box = tuple[float, float, float, float]


def _rapid_boxes(picture: Image.Image, min_confidence: float) -> list[tuple[Box, str]]:
    """Return (left, top, right, bottom) and text of each line seen, in the engine's reading order."""
    import numpy as np
    from rapidocr.utils.output import RapidOCROutput

    try:
        seen = _rapid()(np.asarray(picture)[:, :, ::-1])
    except Exception as error:
        # The libraries below it have five types of errors for a lack of memory, some of them without a type's name.
        if _NO_MEMORY.search(f"{error} {error.__cause__}"):
            raise MemoryError from error
        raise
    if not isinstance(seen, RapidOCROutput) or seen.boxes is None or seen.txts is None or seen.scores is None:
        return []
    found: list[tuple[Box, str]] = []
    for corners, text, score in zip(seen.boxes, seen.txts, seen.scores, strict=True):
        if score >= min_confidence:
            across, down = [float(x) for x, _ in corners], [float(y) for _, y in corners]
            found.append(((min(across), min(down), max(across), max(down)), str(text)))
    return found


def _in_rows(lines: Sequence[tuple[Box, str]]) -> Iterator[tuple[Box, str]]:
    """Yield lines from top to bottom, those at one height from left to right."""
    row: list[tuple[Box, str]] = []
    for line in sorted(lines, key=lambda line: line[0][1]):
        (_, top, _, bottom), (_, _, _, first_bottom) = line[0], (row or [line])[0][0]
        if row and (top + bottom) / 2 > first_bottom:
            yield from sorted(row)
            row = []
        row.append(line)
    yield from sorted(row)


def paragraphs(lines: Sequence[tuple[Box, str]]) -> Iterable[str]:
    """Join lines that stand close below each other into paragraphs, those beside each other into one line."""
    held: list[str] = []
    last: Box | None = None
    for box, text in _in_rows(lines):
        height = box[3] - box[1]
        if last is not None and box[1] - last[3] > 0.9 * height:
            yield "\n".join(held)
            held = []
        beside = last is not None and min(box[3], last[3]) - max(box[1], last[1]) > 0.5 * height
        if beside and held:
            held[-1] += " " + text
        else:
            held.append(text)
        last = box
    if held:
        yield "\n".join(held)
