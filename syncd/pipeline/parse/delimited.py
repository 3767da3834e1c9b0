"""CSV and similar formats: detects encoding and delimiter, and writes the rows as one Markdown table that knows their lines."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import NamedTuple

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.encoding import decode
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_DELIMITERS = ",;\t|"
"""Not the colon, which stands in times and addresses far more often than between columns."""
_SAMPLE_CHARACTERS = 64 << 10
_SAMPLE_ROWS = 200
_TITLE_ROWS_MAX = 10
_ROWS_PER_PART = 5_000
_NO_DELIMITER = "\x1f"
_DECLARED = re.compile(r"(\"?)sep=(.)\1\r?\n", re.IGNORECASE)


class NumberedRow(NamedTuple):
    """A row that is not blank, and on which lines of the file it begins and ends."""

    values: list[str]
    first_line: int
    last_line: int


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the table, in parts of some thousand rows that each repeat the header. Raises PermanentError."""
    text = decode(task, task.path.read_bytes())
    csv.field_size_limit(task.limits.size_bytes)
    declared = _DECLARED.match(text)
    delimiter = declared[2] if declared else _delimiter(text[:_SAMPLE_CHARACTERS])
    rows = _rows(io.StringIO(text[declared.end() if declared else 0 :], newline=""), delimiter, bool(declared))
    out = Markdown(task.limits)
    try:
        yield from _parts(rows, out)
    except csv.Error as error:
        raise PermanentError(f"{task.name} is not a CSV table: {error}") from error


def _rows(file: io.StringIO, delimiter: str, begins_late: bool) -> Iterator[NumberedRow]:
    reader = csv.reader(file, delimiter=delimiter)
    before = int(begins_late)
    last = before
    for values in reader:
        first, last = last + 1, before + reader.line_num
        if any(value.strip() for value in values):
            yield NumberedRow(values, first, last)


def _parts(rows: Iterator[NumberedRow], out: Markdown) -> Iterator[ParsedPiece]:
    sample = list(islice(rows, _SAMPLE_ROWS))
    titles = _titles(sample)
    for row in titles:
        out.line(row.first_line, row.last_line)
        out.block(gfm.paragraph(" ".join(filter(None, row.values))))
    rows = chain(sample[len(titles) :], rows)
    header = next(rows, None)
    held = list(islice(rows, _ROWS_PER_PART))
    first = True
    while header and (held or first):
        _add(out, header, held, is_first=first)
        yield out.take()
        held, first = list(islice(rows, _ROWS_PER_PART)), False


def _titles(rows: Sequence[NumberedRow]) -> Sequence[NumberedRow]:
    """Return the rows of one value above the header of a table that has more columns."""
    if _common_width(len(row.values) for row in rows)[0] < 2:
        return ()
    filled = (sum(bool(value.strip()) for value in row.values) for row in rows)
    count = next((at for at, values in enumerate(filled) if values > 1), 0)
    return rows[:count] if count <= _TITLE_ROWS_MAX else ()


def _add(out: Markdown, header: NumberedRow, rows: Sequence[NumberedRow], *, is_first: bool) -> None:
    """Add a table; its header stands on a line of the file only where the file has it."""
    width = max(len(row.values) for row in (header, *rows))
    head, delimiter = gfm.table([header.values, [""] * width]).split("\n")[:2]
    lines = [
        head,
        delimiter,
        *(gfm.table([row.values + [""] * (width - len(row.values))]).split("\n")[0] for row in rows),
    ]
    place = header if is_first or not rows else rows[0]
    out.line(place.first_line, place.last_line)
    at = len(f"{head}\n{delimiter}\n".encode())
    for row, line in zip(rows, lines[2:], strict=True):
        out.line(row.first_line, row.last_line, after_bytes=at)
        at += len(line.encode()) + 1
    out.block("\n".join(lines))


def _delimiter(sample: str) -> str:
    """Return the delimiter that splits the most rows into the same number of at least two fields.

    If none does, a comma where it splits neighbouring rows alike, and nothing where it only stands in sentences.
    """
    best, best_score, fallback = "", 0.0, _NO_DELIMITER
    for delimiter in _DELIMITERS:
        try:
            rows = list(
                islice(
                    (row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row),
                    _SAMPLE_ROWS,
                )
            )
        except csv.Error:
            continue
        widths = [len(row) for row in rows]
        if delimiter == "," and any(one == other > 1 for one, other in pairwise(widths)):
            fallback = ","
        width, share = _common_width(widths)
        score = share + min(width, 20) / 1000
        if width > 1 and score > best_score:
            best, best_score = delimiter, score
    return best or fallback


def _common_width(widths: Iterable[int]) -> tuple[int, float]:
    """Return the most common width of rows, and the share that have it."""
    counts = Counter(widths)
    width, count = counts.most_common(1)[0] if counts else (1, 0)
    return width, count / max(counts.total(), 1)
