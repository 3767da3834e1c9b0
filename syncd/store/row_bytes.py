"""A row as bytes in which one flipped bit of SQLite's file is one flipped bit, so that it can be set right. Pure.

As SQLite stores them (https://www.sqlite.org/fileformat.html#record_format): whole numbers in as few bytes as do, other numbers in
eight, and in front the type of each cell, of which a bit may flip too.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

Cell = int | float | str | bytes | None
_NULL, _WHOLE, _REAL = 0, 1, 3
_TAGS = {"n": _NULL, "r": 2, "b": 4, "t": 5, "i": 6}
"""Of cells of texts, by the first letter of `typeof`."""
_KINDS = {tag: kind for kind, tag in _TAGS.items()}
_NUMBER_SIZE_BYTES = 9


def row_checksum(kinds: str, *cells: Cell) -> int:
    """Return the checksum of a row: numbers, then texts as bytes; `kinds` has the first letter of each text's `typeof`."""
    return zlib.crc32(_row_bytes(kinds, cells))


def right_cells(
    kinds: str, cells: Sequence[Cell], right_of: Callable[[bytes], bytes | None]
) -> tuple[str, Sequence[Cell]] | None:
    """Return kinds and cells of a row whose bytes were made right by `right_of`, or None if it returns None."""
    right = right_of(_row_bytes(kinds, cells))
    if right is None:
        return None
    count, found, right_kinds = len(cells) - len(kinds), list[Cell](), ""
    start = count * _NUMBER_SIZE_BYTES
    found += [_number_of(right[at : at + _NUMBER_SIZE_BYTES]) for at in range(0, start, _NUMBER_SIZE_BYTES)]
    for cell in cells[count:]:
        end = start + 1 + len(_text_bytes(cell))
        right_kinds += _KINDS.get(right[start], "b")
        found.append(right[start + 1 : end] if right[start] else None)
        start = end
    return right_kinds, found


def _row_bytes(kinds: str, cells: Sequence[Cell]) -> bytes:
    count = len(cells) - len(kinds)
    texts = (bytes([_TAGS[kind]]) + _text_bytes(cell) for kind, cell in zip(kinds, cells[count:], strict=True))
    return b"".join([*map(_number_bytes, cells[:count]), *texts])


def _text_bytes(cell: Cell) -> bytes:
    return cell if isinstance(cell, bytes) else b""


def _number_bytes(cell: Cell) -> bytes:
    if isinstance(cell, float) and not (cell.is_integer() and abs(cell) < 1 << 47):
        return bytes([_REAL]) + struct.pack(">d", cell)
    if not isinstance(cell, int | float):
        return bytes(_NUMBER_SIZE_BYTES)
    whole = int(cell)
    size = next(size for size in (1, 2, 3, 4, 6, 8) if -(1 << 8 * size - 1) <= whole < 1 << 8 * size - 1)
    # Not extended by its sign, of which there would be many bits.
    return bytes([_WHOLE]) + (whole % (1 << 8 * size)).to_bytes(8, "big")


def _number_of(content: bytes) -> Cell:
    """Return the number in its bytes: none of checked rows is negative."""
    if content[0] == _REAL:
        return struct.unpack(">d", content[1:])[0]
    return int.from_bytes(content[1:], "big") if content[0] else None
