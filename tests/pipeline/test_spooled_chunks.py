"""Finished chunks come back as they were given."""

import gc
import weakref

from syncd.pipeline.spooled_chunks import CHUNKS_IN_MEMORY_MAX_BYTES, SpooledChunks
from syncd.store.changes import NewChunk


def draft(number, size=10):
    return NewChunk(f"{number} " * size, "context\n", bytes([number % 256]) * 32, {"chunk_index": number})


def test_drafts_come_back_in_order_from_memory_and_from_disk():
    for size in (1, CHUNKS_IN_MEMORY_MAX_BYTES // 100):
        spooled = SpooledChunks()
        spooled.extend([draft(0, size), draft(1, size)])
        assert spooled[1].text == draft(1, size).text
        spooled.extend(draft(number, size) for number in range(2, 50))
        assert [chunk.metadata["chunk_index"] for chunk in spooled] == list(range(50))
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
