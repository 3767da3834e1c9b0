"""Text, code and Markdown to chunks: what a text does to its process stays there."""

import io
import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise

import anyio
import pytest

from syncd.errors import PermanentError, PutOffError
from syncd.model import Chunk, Chunking, Part
from syncd.pipeline.parse.text import WHOLE_BYTES
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.prepare.process import PreparerSettings
from tests.pipeline.chunking import chunks_of_document

CHUNKING = Chunking(target_size_bytes=100)


@pytest.fixture
async def preparer() -> AsyncIterator[DocumentPreparer]:
    async with DocumentPreparer(
        PreparerSettings(step_limit_s=4.0), module="tests.pipeline.prepare.faulty_worker"
    ) as it:
        yield it


async def batches(preparer: DocumentPreparer, text: str, path: str = "a.md") -> list[list[Chunk]]:
    file = io.BytesIO(text.encode())
    return [list(batch) async for batch in preparer.prepare(file, path, None, path, CHUNKING)]


async def test_the_chunks_are_those_of_the_chunker_itself(preparer: DocumentPreparer) -> None:
    text = "# One\n\nwords é\n\n# Two\n\nmore words\n" * 20
    assert await batches(preparer, text) == [chunks_of_document([Part(text, "markdown")], "a.md", CHUNKING)]


async def test_an_empty_text_has_no_chunks(preparer: DocumentPreparer) -> None:
    assert await batches(preparer, "") == []


async def test_a_long_text_comes_in_batches_under_headings_that_run_on() -> None:
    text = "# One\n\n## Inner `x`\n\n" + "words in a line\n" * (WHOLE_BYTES // 16)
    async with DocumentPreparer() as preparer:
        file = io.BytesIO(text.encode())
        found = [batch async for batch in preparer.prepare(file, "a.md", None, "a.md", Chunking())]
    assert len(found) > 1
    chunks = [chunk for batch in found for chunk in batch]
    assert "".join(chunk.text for chunk in chunks) == text
    assert {chunk.scope for chunk in chunks[1:]} == {("One", "Inner `x`")}
    assert all(one.span.end_byte == following.span.start_byte for one, following in pairwise(chunks))


async def test_code_whose_parse_kills_its_process_is_cut_as_text(preparer: DocumentPreparer) -> None:
    text = "def f():\n    pass  # die parsing\n" * 20
    found = await batches(preparer, text, "a.py")
    assert {(chunk.stage, chunk.note) for batch in found for chunk in batch} == {("lines", "parser failed")}


async def test_a_process_that_is_killed_from_outside_is_not_the_text_s_fault(preparer: DocumentPreparer) -> None:
    await batches(preparer, "def f():\n    pass\n", "a.py")
    os.kill(preparer._text._idle[0].worker.pid, signal.SIGKILL)
    found = await batches(preparer, "def f():\n    pass\n", "a.py")
    assert {chunk.stage for batch in found for chunk in batch} == {"code"}
    with pytest.raises(PutOffError, match="killed 3 times"):
        await batches(preparer, "def f():\n    pass  # killed always\n", "a.py")


async def test_a_process_that_stood_still_once_is_not_the_text_s_fault(preparer: DocumentPreparer) -> None:
    await batches(preparer, "fine")
    found = await batches(preparer, "def f():\n    pass  # stall unless first\n", "a.py")
    assert {chunk.stage for batch in found for chunk in batch} == {"code"}


@pytest.mark.parametrize("text", ["die always", "hang", "bug"])
async def test_a_text_that_kills_or_hangs_its_process_is_refused_and_the_others_go_on(
    preparer: DocumentPreparer, text: str
) -> None:
    async with anyio.create_task_group() as group:

        async def fine() -> None:
            for _ in range(3):
                assert await batches(preparer, "fine")

        group.start_soon(fine)
        with pytest.raises(PermanentError, match="could not be chunked"):
            await batches(preparer, text)
    assert await batches(preparer, "fine again")
