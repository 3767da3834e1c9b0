"""Reading documents through a pool, as every test here does."""

from __future__ import annotations

import io
from collections.abc import Sequence

from syncd.model import PageMark, Part
from syncd.pipeline.parse.pool import ParserPool


async def parts_of(pool: ParserPool, data: bytes, name: str, media_type: str | None = None) -> list[Part]:
    return [part async for part in pool.parse(io.BytesIO(data), name, media_type)]


async def text_of(pool: ParserPool, data: bytes, name: str) -> str:
    return "".join(part.text for part in await parts_of(pool, data, name))


def on_pages(parts: Sequence[Part]) -> dict[int, str]:
    """The text of each page, by number."""
    found: dict[int, str] = {}
    for part in parts:
        data = part.text.encode()
        ends = [*(mark.start_byte for mark in part.pages[1:]), len(data)]
        for mark, end in zip(part.pages, ends, strict=True):
            found[mark.page] = found.get(mark.page, "") + data[mark.start_byte : end].decode()
    return found


def labels(parts: Sequence[Part]) -> list[str]:
    marks: list[PageMark] = [mark for part in parts for mark in part.pages]
    return [mark.label for mark in marks]
