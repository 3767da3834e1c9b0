"""The Markdown of a page that Tesseract read: in its order, with headings by their size, lists, and ruled tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from PIL import Image

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.ocr_grid import RuledGrid, grids, without_lines
from syncd.pipeline.parse.pdf_hyphens import Hyphens, marked
from syncd.pipeline.parse.tesseract import SeenWord

_MIN_CONFIDENCE = 0.3
_BULLET = re.compile(r"[eo]?[\u2022*+\-\xb0\xbb\xab\xb7\xa2\xae\xa9@\u25aa\u25a0\u25cf\u25cb]|[eo]")
"""What bullets are and what they are taken for: no line of text begins with such a word."""
_GLUED_BULLET = re.compile(r"[\u2022\xb7+][^\W\d]")
_DESCENDS = re.compile(r"[gjpqyQ,;()\[\]{}|/]")
_ASCENDS = re.compile(r"[^acegmnopqrsuvwxyz.,;:\-]")
_MISSING = (1.75, 1.3, 1.0)
"""What the height of a word is multiplied by that has neither ascenders nor descenders, one of them, both."""
_HEADING = (1.8, 1.5, 1.35)
"""How many times the usual size letters of headings of level 1, 2 and 3 have at least."""
_MAX_HEADING_WORDS = 20
_PARAGRAPH_GAP = 0.9
_MIN_INK_SHARE = 0.002
_MAX_CELLS_AGAIN = 200
_INK = 100


@dataclass(frozen=True, slots=True)
class _SeenLine:
    words: tuple[SeenWord, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def top(self) -> int:
        return min(word.top for word in self.words)

    @property
    def bottom(self) -> int:
        return max(word.top + word.height for word in self.words)

    @property
    def block(self) -> int:
        return self.words[0].line[0]

    @property
    def size(self) -> float:
        """How high its letters are from ascender to descender."""
        return median(word.height * _MISSING[_parts(word.text)] for word in self.words)


Read = Callable[[Image.Image], Sequence[SeenWord]]


def page_markdown(page: Image.Image, read: Read, read_cell: Read) -> Iterator[str]:
    """Yield the blocks of a page. `read_cell` looks again at a cell in which nothing was seen."""
    found_grids = list(grids(page))
    page = without_lines(page, found_grids)
    words = read(page)
    tables = [_Table(grid, page, read_cell) for grid in found_grids]
    blocks: list[Sequence[_SeenLine] | _Table] = []
    outside: list[_SeenLine] = []
    for _, found in groupby(words, key=lambda word: word.line):
        line = _sure([word for word in found if not any(table.takes(word) for table in tables)])
        blocks += [table for table in tables if table.words and table not in blocks]
        if line:
            outside.append(_SeenLine(tuple(line)))
            blocks.append([outside[-1]])
    usual = median(line.size for line in outside for _ in line.words) if outside else 0
    hyphens = Hyphens([marked("\n".join(line.text for line in outside))])
    for lines in _paragraphs(blocks):
        if isinstance(lines, _Table):
            yield lines.markdown(hyphens)
        else:
            yield _block(lines, usual, hyphens)


def _sure(line: Sequence[SeenWord]) -> Sequence[SeenWord]:
    """Return a line's words; none where it is a picture taken for writing."""
    return line if sum(word.confidence for word in line) >= _MIN_CONFIDENCE * len(line) else ()


class _Table:
    def __init__(self, grid: RuledGrid, page: Image.Image, read_cell: Read) -> None:
        self._grid = grid
        self._page = page
        self._read_cell = read_cell
        self.words: dict[tuple[int, int], list[SeenWord]] = {}

    def takes(self, word: SeenWord) -> bool:
        cell = self._grid.cell_at(word.left + word.width / 2, word.top + word.height / 2)
        if cell is None:
            return False
        if word.confidence >= _MIN_CONFIDENCE:
            self.words.setdefault(cell, []).append(word)
        return True

    def markdown(self, hyphens: Hyphens) -> str:
        rows, columns = len(self._grid.ys) - 1, len(self._grid.xs) - 1
        owners = [[self._grid.owner(row, column) for column in range(columns)] for row in range(rows)]
        empty = {owner for row in owners for owner in row if owner not in self.words}
        for cell in sorted(empty)[:_MAX_CELLS_AGAIN]:
            self.words[cell] = list(self._seen_again(cell))
        return gfm.table([[self._text(owner, hyphens) for owner in row] for row in owners])

    def _seen_again(self, cell: tuple[int, int]) -> Iterable[SeenWord]:
        left, top, right, bottom = self._grid.box(*cell)
        if right - left < _INK // 10 or bottom - top < _INK // 10:
            return ()
        picture = self._page.crop((left, top, right, bottom))
        ink = sum(picture.convert("L").histogram()[:_INK]) / (picture.width * picture.height)
        return self._read_cell(picture) if ink >= _MIN_INK_SHARE else ()

    def _text(self, cell: tuple[int, int], hyphens: Hyphens) -> str:
        lines = groupby(self.words.get(cell, ()), key=lambda word: word.line)
        text = "\n".join(" ".join(word.text for word in words) for _, words in lines)
        return " ".join(hyphens.joined(marked(text)).split())


def _paragraphs(blocks: Sequence[Sequence[_SeenLine] | _Table]) -> Iterator[list[_SeenLine] | _Table]:
    """Yield lines that belong together, and tables."""
    held: list[_SeenLine] = []
    for block in blocks:
        if isinstance(block, _Table):
            if held:
                yield held
            yield block
            held = []
            continue
        line = block[0]
        if held and not _goes_on(held[-1], line):
            yield held
            held = []
        held.append(line)
    if held:
        yield held


def _goes_on(above: _SeenLine, line: _SeenLine) -> bool:
    """Say whether a line belongs to the paragraph of the line above it."""
    size = max(above.size, line.size)
    near = -size < line.top - above.bottom <= _PARAGRAPH_GAP * above.size
    alike = size < _HEADING[-1] * min(above.size, line.size)
    return near and alike and above.block == line.block and not _has_bullet(line)


def _parts(text: str) -> int:
    return bool(_ASCENDS.search(text)) + bool(_DESCENDS.search(text))


def _has_bullet(line: _SeenLine) -> bool:
    first = line.words[0].text
    return (len(line.words) > 1 and bool(_BULLET.fullmatch(first))) or bool(_GLUED_BULLET.match(first))


def _block(lines: Sequence[_SeenLine], usual: float, hyphens: Hyphens) -> str:
    bullet = _has_bullet(lines[0])
    texts = [line.text for line in lines]
    if bullet:
        sign = _BULLET.match(texts[0])
        texts[0] = texts[0][sign.end() if sign else 1 :].lstrip()
    text = " ".join(hyphens.joined(marked("\n".join(texts))).split())
    if bullet:
        return gfm.item(text, 0, None)
    size = median(line.size for line in lines)
    level = next((at for at, times in enumerate(_HEADING, 1) if size >= times * usual), 0)
    if level and len(text.split()) <= _MAX_HEADING_WORDS and any(map(str.isalpha, text)):
        return gfm.heading(level, text)
    return text
