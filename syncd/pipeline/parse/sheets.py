"""Spreadsheets of all kinds: one heading a sheet, one Markdown table for each area of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import Any

import python_calamine as calamine

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm, ods
from syncd.pipeline.parse.archive import open_package
from syncd.pipeline.parse.flat_odf import is_flat, is_zip, open_document
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.number_format import general
from syncd.pipeline.parse.sheet_layout import areas
from syncd.pipeline.parse.sheet_parts import SheetParts
from syncd.pipeline.parse.sheet_rows import Range, SheetCells, SheetRow
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task
from syncd.pipeline.parse.xlsx import Workbook

_MAX_LAID_OUT_CELLS = 200_000
_MAX_GRID_CELLS = 4_000_000
_ROWS_PER_PART = 5_000
_MAX_MERGED_CELLS = 10_000

_calamine: Any = calamine  # the type of its paths is not spelled out

_ERRORS = (calamine.CalamineError, calamine.XmlError, calamine.ZipError, OSError, ValueError)


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the visible sheets in order. Raises PermanentError: damaged, encrypted, over its limits."""
    with ExitStack() as stack:
        parts, pictures = None, Pictures(task)
        package = None
        if is_zip(task):
            package = stack.enter_context(open_package(task.path, task.name, task.limits))
        if package is not None and "xl/workbook.xml" in package.members:
            parts = SheetParts(package, pictures)
            yield from _sheets(Workbook(package, task).sheets(), Markdown(task.limits), parts, pictures)
        elif is_flat(task) or (package is not None and "content.xml" in package.members):
            document = stack.enter_context(open_document(task))
            yield from _sheets(ods.sheets(document, task), Markdown(task.limits), parts, pictures)
        else:
            yield from _sheets(_calamine_sheets(task), Markdown(task.limits), parts, pictures)


def _sheets(
    sheets: Iterable[SheetCells], out: Markdown, parts: SheetParts | None, pictures: Pictures
) -> Iterator[ParsedPiece]:
    for number, sheet in enumerate(sheets, 1):
        out.page(number, sheet.name)
        out.block(gfm.heading(2, sheet.name))
        yield from _sheet(sheet, out)
        for block in chain(sheet.comments, parts.blocks(sheet.name) if parts is not None else ()):
            out.block(block)
            for data in pictures.taken():
                out.picture(data)
        yield out.take(title=sheet.name)


def _calamine_sheets(task: Task) -> Iterator[SheetCells]:
    """Yield the sheets of an Excel 97-2003 or binary workbook, of which only the values can be had."""
    try:
        book = _calamine.load_workbook(str(task.path))
        for meta in book.sheets_metadata:
            if meta.visible != calamine.SheetVisibleEnum.Visible:
                task.warn("hidden_content", f"sheet {meta.name!r} is hidden and was left out")
            elif meta.typ == calamine.SheetTypeEnum.WorkSheet:
                sheet = book.get_sheet_by_name(meta.name)
                merged = [Range(*start, *end) for start, end in sheet.merged_cell_ranges or ()]
                yield SheetCells(meta.name, _calamine_rows(task, sheet), merged)
            else:
                yield SheetCells(meta.name, iter(()))
    except calamine.PasswordError as error:
        raise PermanentError(f"{task.name} is encrypted: save it without a password") from error
    except _ERRORS as error:
        raise PermanentError(f"{task.name} is damaged: its sheets cannot be read ({error})") from error


def _calamine_rows(task: Task, sheet: calamine.CalamineSheet) -> Iterator[SheetRow]:
    # calamine gives rows from the sheet's first on, but columns from the first with data.
    left = (sheet.start or (0, 0))[1]
    for number, values in enumerate(sheet.iter_rows()):
        cells = {at: text for at, value in enumerate(values, left) if (text := _text(value))}
        if any(isinstance(value, float) and not value.is_integer() for value in values):
            task.warn(
                "value_approximated",
                f"numbers of sheet {sheet.name!r} are given as stored: shares and amounts may look different",
            )
        if cells:
            yield SheetRow(number, cells)


def _sheet(sheet: SheetCells, out: Markdown) -> Iterator[ParsedPiece]:
    """Add a sheet's areas; one too large to be laid out is one table, some thousand rows a part."""
    held: list[SheetRow] = []
    cells = 0
    for row in sheet.rows:
        held.append(row)
        cells += len(row.cells)
        if cells > _MAX_LAID_OUT_CELLS:
            yield from _long(chain(held, sheet.rows), sheet.name, out)
            return
    held = _with_merged(held, sheet.merged)
    if len(held) * len({column for row in held for column in row.cells}) > _MAX_GRID_CELLS:
        yield from _long(iter(held), sheet.name, out)
        return
    for area in areas(held):
        out.block(gfm.table(area))


def _long(rows: Iterator[SheetRow], name: str, out: Markdown) -> Iterator[ParsedPiece]:
    """Yield a sheet in parts that each repeat its first row."""
    header = next(rows)
    while held := list(islice(rows, _ROWS_PER_PART)):
        columns = sorted({column for row in (header, *held) for column in row.cells})
        out.block(gfm.table([[row.cells.get(column, "") for column in columns] for row in (header, *held)]))
        if len(held) == _ROWS_PER_PART:
            yield out.take(title=name)


def _with_merged(rows: Sequence[SheetRow], merged: Sequence[Range]) -> list[SheetRow]:
    """Return the rows with a merged cell's text in every cell it covers, so that each row can be understood alone."""
    found = {row.number: dict(row.cells) for row in rows}
    for top, left, bottom, right in merged:
        text = found.get(top, {}).get(left, "")
        if not text or (bottom - top + 1) * (right - left + 1) > _MAX_MERGED_CELLS:
            continue
        for number in range(top, bottom + 1):
            # A row or column with nothing of its own is not made one by what spans it.
            for column in range(left, right + 1) if number in found else ():
                found[number].setdefault(column, text)
    return [SheetRow(number, found[number]) for number in sorted(found)]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return general(value)
    if isinstance(value, datetime.timedelta):
        return _hours(value)
    return str(value).strip()


def _hours(value: datetime.timedelta) -> str:
    """Return a duration as hours that run on over days, as sheets show it."""
    minutes, seconds = divmod(round(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}" + (f":{seconds:02d}" if seconds else "")
