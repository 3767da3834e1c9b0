"""A large document in segments is the same document, and finished chunks come back as they were given."""

import gc
import weakref
from contextlib import aclosing

from hypothesis import given
from hypothesis import strategies as st

from syncd.model import Chunking, PageMark, Part
from syncd.pipeline.chunk import chunk_document
from syncd.pipeline.spooled_chunks import MEMORY_MAX_BYTES, SpooledChunks, segments
from syncd.store.staging import NewChunk

CHUNKING = Chunking(target_size_bytes=60, max_size_bytes=120)


async def arriving(parts):
    for part in parts:
        yield part


async def chunks_of(parts, size):
    found = []
    async for segment in segments(arriving(parts), size):
        found += segment.placed(chunk_document(segment.parts, "a.txt", CHUNKING))
    return found


words = st.text("ab é\n", min_size=1, max_size=80).filter(str.strip)


@given(st.lists(words, min_size=1, max_size=12), st.integers(1, 200))
async def test_chunks_of_stretches_tile_the_whole_text(texts, size):
    text = "".join(texts)
    data = text.encode()
    chunks = await chunks_of([Part(each, "text") for each in texts], size)
    assert "".join(chunk.text for chunk in chunks) == text
    for chunk in chunks:
        assert data[chunk.span.start_byte : chunk.span.end_byte].decode() == chunk.text
        assert chunk.span.start_line == data[: chunk.span.start_byte].count(b"\n") + 1


async def test_a_stretch_goes_on_with_the_page_it_begins_on():
    parts = [Part("first " * 20, "text", (PageMark(0, 1), PageMark(60, 2))), Part("second " * 20, "text")]
    pages = [chunk.span.page for chunk in await chunks_of(parts, 10)]
    assert pages[0] == 1
    assert pages[-1] == 2
    assert None not in pages


async def test_nothing_is_one_empty_stretch():
    found = [segment.parts async for segment in segments(arriving([]))]
    assert found == [[]]


async def test_leaving_early_ends_the_reading():
    ended = []

    async def read():
        try:
            for _ in range(9):
                yield Part("text", "text")
        finally:
            ended.append(True)

    async with aclosing(segments(read(), 4)) as found:
        await anext(found)
    assert ended


def draft(number, size=10):
    return NewChunk(
        f"{number} " * size, "context\n", bytes([number % 256]) * 32, {"chunk_index": number, "chunk_count": 0}
    )


def test_drafts_come_back_in_order_with_their_count_from_memory_and_from_disk():
    for size in (1, MEMORY_MAX_BYTES // 100):
        spooled = SpooledChunks()
        spooled.extend([draft(0, size), draft(1, size)])
        assert spooled[1].text == draft(1, size).text
        spooled.extend(draft(number, size) for number in range(2, 50))
        assert [chunk.metadata["chunk_index"] for chunk in spooled] == list(range(50))
        assert {chunk.metadata["chunk_count"] for chunk in spooled} == {50}
        assert [chunk.text for chunk in spooled[-2:]] == [draft(48, size).text, draft(49, size).text]


def test_two_readers_do_not_disturb_each_other():
    spooled = SpooledChunks()
    spooled.extend(map(draft, range(5)))
    assert [(a.text, b.text) for a, b in zip(spooled, spooled, strict=True)] == [(draft(n).text,) * 2 for n in range(5)]


def test_the_file_goes_with_the_drafts():
    spooled = SpooledChunks()
    file = spooled._file
    kept = weakref.ref(spooled)
    del spooled
    gc.collect()
    assert kept() is None
    assert file.closed
