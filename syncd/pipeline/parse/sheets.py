"""Spreadsheets of all kinds: one heading a sheet, one Markdown table for each block of cells that touch."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import python_calamine as calamine

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.archive import open_package
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.sheet_parts import SheetParts
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_MAX_SPLIT_CELLS = 200_000
_ROWS_PER_PART = 5_000
_MAX_MERGED_CELLS = 10_000

_calamine: Any = calamine  # the type of its paths is not spelled out

Grid = list[list[str]]
_ERRORS = (calamine.CalamineError, calamine.XmlError, calamine.ZipError, OSError, ValueError)


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the visible sheets in order. Raises PermanentError: damaged, encrypted, over its limits."""
    with ExitStack() as stack:
        parts, pictures = None, Pictures(task)
        if _is_archive(task):
            package = stack.enter_context(open_package(task.path, task.name, task.limits))
            parts = SheetParts(package, pictures) if "xl/workbook.xml" in package.members else None
        yield from _book(task, parts, pictures)


def _book(task: Task, parts: SheetParts | None, pictures: Pictures) -> Iterator[ParsedPiece]:
    try:
        book = _calamine.load_workbook(str(task.path))
        sheets = [meta for meta in book.sheets_metadata if meta.visible == calamine.SheetVisibleEnum.Visible]
        out = Markdown(task.limits)
        for number, meta in enumerate(sheets, 1):
            out.page(number, meta.name)
            out.block(gfm.heading(2, meta.name))
            if meta.typ == calamine.SheetTypeEnum.WorkSheet:
                yield from _sheet(book.get_sheet_by_name(meta.name), out)
            for block in parts.blocks(meta.name) if parts is not None else ():
                out.block(block)
                for data in pictures.taken():
                    out.picture(data)
            yield out.take(title=meta.name)
    except calamine.PasswordError as error:
        raise PermanentError(f"{task.name} is encrypted: save it without a password") from error
    except _ERRORS as error:
        raise PermanentError(f"{task.name} is damaged: its sheets cannot be read ({error})") from error


def _is_archive(task: Task) -> bool:
    with task.path.open("rb") as file:
        return file.read(2) == b"PK"


def _sheet(sheet: calamine.CalamineSheet, out: Markdown) -> Iterator[ParsedPiece]:
    if sheet.total_height * sheet.total_width > _MAX_SPLIT_CELLS:
        yield from _long(sheet, out)
        return
    grid: Grid = [[_text(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]
    _repeat_merged(grid, sheet.merged_cell_ranges or ())
    for rows in islands(grid):
        out.block(gfm.table(rows))


def _long(sheet: calamine.CalamineSheet, out: Markdown) -> Iterator[ParsedPiece]:
    """Yield a sheet too large to look for gaps in, some thousand rows a part, each with the first row as header."""
    header: list[str] | None = None
    held: Grid = []
    for values in sheet.iter_rows():
        row = [_text(value) for value in values]
        if not any(row):
            continue
        if header is None:
            header = row
            continue
        held.append(row)
        if len(held) == _ROWS_PER_PART:
            out.block(gfm.table([header, *held]))
            yield out.take(title=sheet.name)
            held = []
    if header is not None:
        out.block(gfm.table([header, *held]))


def _repeat_merged(grid: Grid, ranges: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    """Write a merged cell's text into every cell it covers, so that each row can be understood alone."""
    for (top, left), (bottom, right) in ranges:
        covered = (bottom - top + 1) * (right - left + 1)
        if top >= len(grid) or left >= len(grid[top]) or covered > _MAX_MERGED_CELLS or not grid[top][left]:
            continue
        for row in grid[top : bottom + 1]:
            for at in range(left, min(right + 1, len(row))):
                row[at] = grid[top][left]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.timedelta):
        return str(value)
    return str(value).strip()


def islands(grid: Grid) -> Iterator[Grid]:
    """Yield the blocks of filled cells that touch each other (sideways, up or down), top to bottom, left to right."""
    seen: set[tuple[int, int]] = set()
    found: list[tuple[int, int, int, int]] = []
    for y, row in enumerate(grid):
        for x, text in enumerate(row):
            if text and (y, x) not in seen:
                found.append(_bounds(grid, (y, x), seen))
    for top, left, bottom, right in found:
        yield [row[left : right + 1] for row in grid[top : bottom + 1]]


def _bounds(grid: Grid, start: tuple[int, int], seen: set[tuple[int, int]]) -> tuple[int, int, int, int]:
    top, left = bottom, right = start
    queue = [start]
    seen.add(start)
    while queue:
        y, x = queue.pop()
        top, left, bottom, right = min(top, y), min(left, x), max(bottom, y), max(right, x)
        for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            ny, nx = near
            inside = 0 <= ny < len(grid) and 0 <= nx < len(grid[ny])
            if inside and near not in seen and grid[ny][nx]:
                seen.add(near)
                queue.append(near)
    return top, left, bottom, right
