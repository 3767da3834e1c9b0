"""Plain text: checked, decoded, and cut at line ends where it is long."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from syncd.errors import PermanentError
from syncd.model import Part, TextKind
from syncd.model.formats import MARKDOWN
from syncd.pipeline.parse.task import ParsedPiece, Task

WHOLE_BYTES = 8 << 20
"""Text up to this size is one part, so that structure is seen whole; longer text comes in pieces of half of it."""
_PIECE_BYTES = WHOLE_BYTES // 2
_BOM = codecs.BOM_UTF8


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the file as UTF-8 text without its byte order mark, cut at line ends where it is long; nothing when empty.

    The whole file is checked before the first part. Raises PermanentError when it is not UTF-8 text.
    """
    kind: TextKind = "markdown" if task.format is MARKDOWN else "text"
    with task.path.open("rb") as file:
        limit = WHOLE_BYTES if _check(file, task.name) <= WHOLE_BYTES else _PIECE_BYTES
        left = b""
        while block := file.read(limit):
            data = left + block
            cut = len(data) if len(block) < limit else _cut(data)
            left = data[cut:]
            if text := data[:cut].decode():
                yield ParsedPiece(Part(text, kind))
        if left:
            yield ParsedPiece(Part(left.decode(), kind))


def _check(file: BinaryIO, name: str) -> int:
    """Return the size in bytes and leave the file behind its byte order mark."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    size_bytes, block = 0, b""
    start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(start)
    try:
        while block := file.read(1 << 20):
            if (at := block.find(b"\0")) >= 0:
                raise PermanentError(f"{name} is not valid UTF-8 text: a NUL byte at offset {start + size_bytes + at}")
            decoder.decode(block)
            size_bytes += len(block)
        block = b""
        decoder.decode(block, final=True)
    except UnicodeDecodeError as error:
        held = len(error.object) - len(block)  # bytes of an unfinished character from the block before
        byte, at = error.object[error.start], start + size_bytes - held + error.start
        raise PermanentError(
            f"{name} is not valid UTF-8 text: byte 0x{byte:02x} at offset {at}; save it as UTF-8 or exclude it"
        ) from error
    file.seek(start)
    return size_bytes


def _cut(data: bytes) -> int:
    """Return where to cut: behind the last line end, else before a torn character."""
    if at := data.rfind(b"\n") + 1:
        return at
    cut = len(data)
    while cut > len(data) - 4 and data[cut - 1] & 0xC0 == 0x80:
        cut -= 1
    lead = data[cut - 1]
    return cut - 1 if lead >= 0xC0 else len(data)
