"""CSV and similar formats: detects encoding and delimiter, and writes the rows as one Markdown table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from syncd.errors import PermanentError
from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_DELIMITERS = ",;\t|:"
_SAMPLE_CHARACTERS = 64 << 10
_ROWS_PER_PART = 5_000


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the table, in parts of some thousand rows that each repeat the header. Raises PermanentError."""
    text = decode(task.path.read_bytes())
    csv.field_size_limit(task.limits.size_bytes)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text[:_SAMPLE_CHARACTERS]))
    out = Markdown(task.limits)
    try:
        yield from _parts((row for row in rows if any(value.strip() for value in row)), out)
    except csv.Error as error:
        raise PermanentError(f"{task.name} is not a CSV table: {error} at line {rows.line_num}") from error


def _parts(rows: Iterator[list[str]], out: Markdown) -> Iterator[ParsedPiece]:
    header = next(rows, None)
    held: list[list[str]] = []
    first = True
    for row in rows:
        held.append(row)
        if len(held) == _ROWS_PER_PART:
            out.block(gfm.table([header or [], *held]))
            yield out.take()
            held, first = [], False
    if header and (held or first):
        out.block(gfm.table([header, *held]))
        yield out.take()


def decode(data: bytes) -> str:
    """Return text from bytes of unstated encoding: by byte order mark, else UTF-8, else Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _delimiter(sample: str) -> str:
    """Return the delimiter that splits the most lines into the same number of at least two fields."""
    lines = sample.splitlines()[:200]
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        score = count / max(len(lines), 1) + min(width, 20) / 1000
        if width > 1 and score > best_score:
            best, best_score = delimiter, score
    return best
