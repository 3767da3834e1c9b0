"""Tables that go on over the pages of a PDF: one table with its header, whatever the pages repeat or leave out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_CELL_BORDER = re.compile(r"(?<!\\)\|")
_DELIMITER = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")
_PAGE_NUMBER = re.compile(r"\W*(?:[^\W\d]+\W+){0,2}\d+(?:\W+(?:[^\W\d]+\W+)?\d+)?\W*")
_RUNNING_HEAD_CHARACTERS = 80
_EDGES_MAX = 10_000


class PageText(NamedTuple):
    """A page's text: rows that go on with the table before it, with the header of that, and what follows them."""

    rows: str
    header: str
    text: str


class PageTables:
    """Reads page after page, and knows the table that the last one ended with."""

    def __init__(self) -> None:
        self._header: Sequence[str] = ()
        self._edges: set[str] = set()
        """How pages began so far, numbers aside: running heads are no captions."""

    def page(self, text: str) -> PageText:
        """Return a page's text, its table that goes on apart from the rest.

        A page number behind the last table goes before it, or is left out where the table takes the whole page.
        """
        header, blocks = self._header, text.strip("\n").split("\n\n")
        lead, at = self._running_head(blocks[0], header), 0
        if header and lead is not None and len(blocks) > 1:
            at = 1
        rows = _more_rows(blocks[at], header) if header else ()
        self._note(blocks[0])
        rest = blocks[at + 1 :] if rows else blocks
        if len(rest) > 1 and _table(rest[-2]) and _PAGE_NUMBER.fullmatch(rest[-1]):
            rest[-2:] = reversed(rest[-2:])
        if not rows:
            self._end(rest)
            return PageText("", "", "\n\n".join(rest))
        if len(rest) == 1 and _PAGE_NUMBER.fullmatch(rest[0]):
            rest = []
        if rest:
            self._end(rest)
        return PageText("\n".join(rows), "\n".join(_header_lines(header)), "\n\n".join(filter(None, (lead, *rest))))

    def interrupted(self) -> None:
        """Say that something else came in between: what follows is another table."""
        self._header = ()

    def _end(self, blocks: Sequence[str]) -> None:
        table = _table(blocks[-1])
        self._header = _cells(table[0]) if table else ()

    def _note(self, block: str) -> None:
        if len(self._edges) < _EDGES_MAX:
            self._edges.update(_without_numbers(line) for line in block.split("\n")[:2])

    def _running_head(self, block: str, header: Sequence[str]) -> str | None:
        """Return what a running head says that no page said before, the table's header aside; None for any other text."""
        lines = block.split("\n")
        is_head = len(lines) <= 2 and not block.startswith(("#", "|"))
        names = " ".join(" ".join(header).split())
        left = [line for line in lines if " ".join(line.split()) != names]
        if not is_head or any(len(line) > _RUNNING_HEAD_CHARACTERS for line in left):
            return None
        return "" if all(_without_numbers(line) in self._edges for line in left) else None


def _more_rows(block: str, header: Sequence[str]) -> Sequence[str]:
    """Return the rows of a table that goes on with the one of that header; none where it is another one."""
    table = _table(block)
    first = _cells(table[0]) if table else ()
    if not table or len(first) != len(header):
        return ()
    if not any(first) or [cell.casefold() for cell in first] == [cell.casefold() for cell in header]:
        return [_row(line) for line in table[2:]]
    has_numbers = any(map(str.isdigit, "".join(first))) and not any(map(str.isdigit, "".join(header)))
    return [_row(line) for line in (table[0], *table[2:])] if has_numbers or not all(first) else ()


def _table(block: str) -> list[str]:
    """Return the lines of a table; none where the block is something else."""
    lines = block.strip("\n").split("\n")
    is_table = len(lines) > 1 and lines[0].startswith("|") and _DELIMITER.fullmatch(lines[1].strip())
    return lines if is_table and all(line.startswith("|") for line in lines) else []


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in _CELL_BORDER.split(row.strip())[1:-1]]


def _row(line: str) -> str:
    return f"| {' | '.join(_cells(line))} |"


def _header_lines(header: Sequence[str]) -> tuple[str, str]:
    return f"| {' | '.join(header)} |", "|" + " --- |" * len(header)


def _without_numbers(line: str) -> str:
    return re.sub(r"\d+", "0", " ".join(line.split()))
