"""Rows that only the vector store has are told from those that wait to be written or deleted, and are never thrown away unasked."""

from dataclasses import replace

import numpy as np
import pytest

from syncd.errors import RetryableError
from syncd.index import foreign_rows
from syncd.model import NOTHING, Rows

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}.\n" for n in range(5)}
OWN = Rows(["own"], [{"mine": True}], ["my own note"], [np.eye(1, 8, dtype=np.float32)[0]])


async def test_what_waits_to_be_deleted_or_written_is_not_foreign(parts, folder, target):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    assert await parts.index.foreign.number(record) == 0
    await parts.chroma.write(target, [], OWN, NOTHING)
    first, second, *_ = [row.id for row in await parts.chroma.get(target) if row.id != "own"]
    # One chunk waits and is not there, another waits and is there; a row is there and waits to be deleted, another is gone already.
    await parts.chroma.write(target, [first], NOTHING, NOTHING)
    left = Rows(["left"], [{"left": True}], ["to be deleted"], OWN.vectors)
    await parts.chroma.write(target, [], left, NOTHING)
    await parts.store.outbox.want(record.id, [first, second, "left", "gone"])
    assert await parts.index.foreign.number(record) == 1
    await parts.chroma.write(target, ["own"], NOTHING, NOTHING)
    assert await parts.index.foreign.number(record) == 0


async def test_rows_of_ours_that_are_missing_hide_none(parts, folder, target):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    first, second, third, *_ = [row.id for row in await parts.chroma.get(target)]
    # One is a chunk that was damaged here, whose row is left and then deleted by somebody.
    await parts.store.database.write(lambda c: c.execute("UPDATE chunks SET text = 'xx' WHERE number = 0"))
    await parts.store.repairs.repair(record.id, [first], [first])
    assert await parts.store.outbox.known(record.id, [first]) == {first}
    others = Rows(["own", "own-2"], [{"mine": True}] * 2, ["my own note"] * 2, [*OWN.vectors, *OWN.vectors])
    await parts.chroma.write(target, [first, second], others, NOTHING)
    assert await parts.index.foreign.look_through(record) == 2
    assert await parts.index.foreign.number(record) == 2
    # One that is to be written again is missing no more than others that wait.
    await parts.store.outbox.want(record.id, [second])
    assert await parts.index.foreign.number(record) == 2
    await parts.index.flush(record.id, [second])
    assert await parts.index.foreign.number(record) == 2
    # What goes missing after that is found when it is looked through again, once the others are gone.
    await parts.chroma.write(target, ["own", "own-2", third], OWN, NOTHING)
    assert await parts.index.foreign.look_through(record) == 1


async def test_one_whose_rows_are_known_by_their_number_is_not_looked_through(parts, folder, target, monkeypatch):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    await parts.chroma.write(target, [], OWN, NOTHING)
    monkeypatch.setattr(parts.store.refills, "expected_ids", None)
    assert await parts.index.foreign.look_through(record) == 1


async def test_nothing_is_told_of_one_that_is_being_filled_or_lacks_many_rows(parts, folder, target, monkeypatch):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    with pytest.raises(RetryableError, match="is being filled"):
        await parts.index.foreign.look_through(replace(record, rebuilding="{}"))
    monkeypatch.setattr(foreign_rows, "MISSING_MAX", 2)
    lost = [row.id for row in await parts.chroma.get(target)][:3]
    await parts.chroma.write(target, lost, NOTHING, NOTHING)
    with pytest.raises(RetryableError, match="syncd verify"):
        await parts.index.foreign.look_through(record)
