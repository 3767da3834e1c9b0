"""Reading documents through a pool, as every test here does."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, BinaryIO

from typing_extensions import override

from syncd.model import Chunking, PageMark, Part, Warnings
from syncd.pipeline.parse.vision import Describer
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PreparerSettings
from syncd.runtime.frames import Frame
from tests.pipeline.parse.parts_worker import PART


class PartReader(DocumentPreparer):
    """The preparer, but that its processes hand over a document's parts, which otherwise stay with them."""

    def __init__(self, settings: PreparerSettings | None = None, describer: Describer | None = None) -> None:
        super().__init__(settings, describer, module="tests.pipeline.parse.parts_worker")

    async def parse(self, file: BinaryIO, name: str, media_type: str | None = None) -> AsyncGenerator[Part]:
        async with aclosing(self.prepare(file, name, media_type, name, Chunking())) as batches:
            async for batch in batches:
                parts: Any = batch
                for part in parts:
                    yield part

    @override
    def _batch(self, frame: Frame) -> Any:
        return [PART.validate_json(frame.payload)]


async def parts_of(pool: PartReader, data: bytes, name: str, media_type: str | None = None) -> list[Part]:
    return [part async for part in pool.parse(io.BytesIO(data), name, media_type)]


async def text_of(pool: PartReader, data: bytes, name: str) -> str:
    return "".join(part.text for part in await parts_of(pool, data, name))


async def warnings_of(pool: PartReader, data: bytes, name: str) -> dict[str, int]:
    """How many of each kind of warnings a document has."""
    found = Warnings()
    async with aclosing(pool.prepare(io.BytesIO(data), name, None, name, Chunking(), found)) as batches:
        async for _ in batches:
            pass
    return {warning.code: warning.count for warning in found.all()}


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
