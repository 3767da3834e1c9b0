"""Rows that only the vector store has are told from those that wait to be written or deleted, and are never thrown away unasked."""

import numpy as np

from syncd.index.foreign_rows import foreign_rows
from syncd.model import NOTHING, Rows

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}.\n" for n in range(5)}
OWN = Rows(["own"], [{"mine": True}], ["my own note"], [np.eye(1, 8, dtype=np.float32)[0]])


async def test_what_waits_to_be_deleted_or_written_is_not_foreign(parts, folder, target):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    assert await foreign_rows(parts.store, parts.chroma, record) == 0
    await parts.chroma.write(target, [], OWN, NOTHING)
    first, second, *_ = [row.id for row in await parts.chroma.get(target) if row.id != "own"]
    # One chunk waits and is not there, another waits and is there; a row is there and waits to be deleted, another is gone already.
    await parts.chroma.write(target, [first], NOTHING, NOTHING)
    left = Rows(["left"], [{"left": True}], ["to be deleted"], OWN.vectors)
    await parts.chroma.write(target, [], left, NOTHING)
    await parts.store.outbox.want(record.id, [first, second, "left", "gone"])
    assert await foreign_rows(parts.store, parts.chroma, record) == 1
    await parts.chroma.write(target, ["own"], NOTHING, NOTHING)
    assert await foreign_rows(parts.store, parts.chroma, record) == 0
