"""What waits to be written to the vector store, and is noted again while it is being written."""

import pytest

from syncd.store.postings import Unposted, tell_of
from tests.pipeline.parts import MODEL

FILES = {"a.txt": "Some words about lamps.\n"}


async def noted_again(parts, record, chunk_id: str, *, whole: bool) -> None:
    """Note that a chunk is to be replaced, or that it has other words to be found by."""
    if whole:
        await parts.store.outbox.want(record.id, [chunk_id])
    else:
        chunks = "SELECT document_id, number FROM chunks"
        await parts.store.database.write(
            lambda c: [tell_of(c, record.id, Unposted(*row, "")) for row in c.execute(chunks).fetchall()]
        )


@pytest.mark.parametrize("whole", [True, False])
async def test_what_is_noted_again_while_it_is_being_written_is_still_to_be_written(
    parts, folder, target, monkeypatch, whole
):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    (chunk_id,) = [row.id for row in await parts.chroma.get(target)]
    write = parts.chroma.write

    async def write_and_be_overtaken(*rows):
        await write(*rows)
        await noted_again(parts, record, chunk_id, whole=whole)

    await parts.store.outbox.want(record.id, [chunk_id])
    with monkeypatch.context() as patched:
        patched.setattr(parts.chroma, "write", write_and_be_overtaken)
        await parts.index.flush(record.id, [chunk_id])
    assert await parts.store.outbox.ids(record.id) == [chunk_id]
    await parts.index.flush(record.id, [chunk_id])
    assert await parts.store.outbox.ids(record.id) == []


async def test_what_is_noted_again_while_it_is_being_added_replaces_what_was_added(parts, folder, target, monkeypatch):
    record = await parts.index.open(target, MODEL)
    write, asked = parts.chroma.write, []

    async def write_and_be_overtaken(*rows):
        await write(*rows)
        asked.append(rows)
        if len(asked) == 1:
            await noted_again(parts, record, "", whole=False)

    monkeypatch.setattr(parts.chroma, "write", write_and_be_overtaken)
    await parts.sync(folder, target)
    (chunk_id,) = await parts.store.outbox.ids(record.id)
    await parts.index.flush(record.id, [chunk_id])
    (_, deleted, added, updated) = asked[-1]
    assert (deleted, added.ids, updated.ids) == ([chunk_id], [chunk_id], [])
