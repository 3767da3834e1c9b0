"""Chunkers in processes of their own: what they give is what chunk_document gives, and a crash costs little."""

from __future__ import annotations

import anyio

from syncd.model import Chunking, PageMark, Part
from syncd.pipeline.chunk import chunk_document
from syncd.pipeline.chunk.pool import ChunkerPool

PARTS = [Part("# A\n\nOne.\n", "markdown", (PageMark(0, 1, "Slide 1"),)), Part("def f():\n    return 1\n", "code")]


async def test_a_process_gives_what_the_function_gives():
    pool = ChunkerPool()
    async with anyio.create_task_group() as group:
        await group.start(pool.run)
        chunks = await pool.split(PARTS, "a.py", Chunking(target_size_bytes=100))
        group.cancel_scope.cancel()
    assert list(chunks) == list(chunk_document(PARTS, "a.py", Chunking(target_size_bytes=100)))


async def test_a_text_whose_parse_kills_the_process_is_cut_as_text_and_says_so():
    pool = ChunkerPool(module="tests.pipeline.chunk.fragile_worker")
    async with anyio.create_task_group() as group:
        await group.start(pool.run)
        chunks = await pool.split([PARTS[1]], "a.py", Chunking())
        group.cancel_scope.cancel()
    assert [(chunk.text, chunk.note) for chunk in chunks] == [(PARTS[1].text, "parser failed")]
