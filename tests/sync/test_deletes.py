"""Suspiciously many deletes are held until somebody confirms them."""

import pytest

from syncd.sync.deletes import DeleteGuard
from syncd.sync.run_state import RunState
from tests.pipeline.parts import write
from tests.sync.syncing import FILES


async def test_suspiciously_many_deletes_are_held_until_confirmed(parts, folder, target):
    write(folder, {f"many/{i}.txt": f"words number {i} in this file\n" for i in range(30)})
    await parts.sync(folder, target)
    before = await parts.chroma.count(target)
    write(folder, {f"many/{i}.txt": None for i in range(30)})
    run = await parts.sync(folder, target)
    assert (run.counts.held_deletes, run.counts.deleted) == (30, 0)
    assert await parts.chroma.count(target) == before
    write(folder, {"many/7.txt": "words number 7 in this file\n"})
    await parts.sync(folder, target)
    (held_by, *_) = [i for i in await parts.store.invocations.list() if i.counts.held_deletes == 30]
    confirmed = await parts.sync(folder, target, confirm_deletes=held_by.id)
    assert confirmed.counts.deleted == 29
    assert {str(row.metadata["key"]) for row in await parts.chroma.get(target)} == {*FILES, "many/7.txt"}


async def test_a_run_that_loses_nothing_counts_no_documents(parts, folder, target, monkeypatch):
    await parts.sync(folder, target)

    async def counted(_state):
        raise AssertionError("it counts all documents of the source")

    monkeypatch.setattr(RunState, "documents", counted)
    write(folder, {"a.py": None})
    run = await parts.sync(folder, target)
    assert run.counts.deleted == 1


@pytest.mark.parametrize(
    ("deletes", "documents", "holds"), [(20, 20, False), (21, 30, True), (21, 42, False), (22, 43, True), (0, 0, False)]
)
def test_the_guard_holds_more_than_its_share_and_more_than_its_minimum(deletes, documents, holds):
    assert DeleteGuard().holds(deletes, documents) is holds
