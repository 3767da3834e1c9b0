"""Paragraphs, list items and table cells of RTF, as they end, to blocks of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from syncd.pipeline.parse import gfm

_HEADING = re.compile(r"heading (\d)$|berschrift (\d)$|titre (\d)$", re.IGNORECASE)
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class ParagraphFormat:
    """What decides what a paragraph is; the word pard resets it."""

    style: int = 0
    outline: int = 9
    """9 is the body's text."""
    in_table: bool = False
    is_listed: bool = False
    depth: int = 0


class RtfStyles:
    """Heading levels of a file's styles, by what they say or are called."""

    def __init__(self) -> None:
        self._levels: dict[int, int] = {}

    def add(self, number: int, name: str, outline: int) -> None:
        """Remember a style."""
        named = _HEADING.search(name)
        if outline < 9:
            self._levels[number] = outline + 1
        elif named:
            self._levels[number] = int(next(filter(None, named.groups())))
        elif name.lower() in ("title", "titel", "titre"):
            self._levels[number] = 1

    def level(self, paragraph: ParagraphFormat) -> int:
        """Return a paragraph's heading level, 0 for none."""
        return paragraph.outline + 1 if paragraph.outline < 9 else self._levels.get(paragraph.style, 0)


class Blocks:
    """Gathers what ends: items of a list, rows of a table."""

    def __init__(self, styles: RtfStyles) -> None:
        self._styles = styles
        self._items: list[str] = []
        self._rows: list[list[str]] = []
        self._row: list[str] = []
        self._cell: list[str] = []

    def paragraph(self, text: str, paragraph: ParagraphFormat, label: str) -> Iterator[str]:
        """Take a paragraph that ends, whose number or bullet is `label`; yield the blocks that end with it."""
        if paragraph.in_table:
            yield from self._end_items()
            self._cell.append(text.strip())
            return
        yield from self._end_table()
        if label or paragraph.is_listed:
            if text.strip():
                number = label if any(sign.isalnum() for sign in label) else ""
                self._items.append(gfm.labelled_item(text.strip(), min(paragraph.depth, _MAX_DEPTH), number))
            return
        yield from self._end_items()
        level = self._styles.level(paragraph)
        yield gfm.heading(level, text) if level else gfm.paragraph(text)

    def cell(self, text: str) -> Iterator[str]:
        """Take a cell that ends."""
        yield from self._end_items()
        self._row.append("\n".join(filter(None, (*self._cell, text.strip()))))
        self._cell = []

    def row(self) -> None:
        """End a row."""
        if self._row:
            self._rows.append(self._row)
        self._row = []

    def end(self) -> Iterator[str]:
        """Yield what is left."""
        yield from self._end_table()
        yield from self._end_items()

    def _end_table(self) -> Iterator[str]:
        if self._cell:
            self._row.append("\n".join(filter(None, self._cell)))
            self._cell = []
        self.row()
        while self._rows and not any(self._rows[-1]):
            self._rows.pop()
        if self._rows:
            yield gfm.table(self._rows)
            self._rows = []

    def _end_items(self) -> Iterator[str]:
        if self._items:
            yield gfm.items(self._items)
            self._items = []


BODY = ParagraphFormat()


def changed(paragraph: ParagraphFormat, word: str, number: int | None) -> ParagraphFormat:
    """Return a paragraph's format after a control word."""
    match word:
        case "pard":
            return BODY
        case "s":
            return replace(paragraph, style=number or 0)
        case "outlinelevel":
            return replace(paragraph, outline=9 if number is None else min(max(number, 0), 9))
        case "intbl" | "itap":
            return replace(paragraph, in_table=word == "intbl" or (number or 0) > 0)
        case "ls":
            return replace(paragraph, is_listed=(number or 0) > 0)
        case "ilvl":
            return replace(paragraph, depth=max(number or 0, 0))
        case _:
            return paragraph
