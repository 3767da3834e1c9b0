"""Suspiciously many deletes are held until somebody confirms them."""

from contextlib import suppress

import pytest

from syncd.errors import PermanentError
from syncd.model import Counts, Origin, State
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.store.cursors import invalidate_cursors
from syncd.sync.deletes import DeleteGuard
from syncd.sync.run_state import RunState
from tests.asking import asked
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


async def test_deletes_are_held_by_the_first_and_the_latest_runs_that_miss_the_documents_and_by_none_once_they_are_done(
    parts, folder, target
):
    write(folder, {f"many/{i}.txt": f"words number {i} in this file\n" for i in range(40)})
    await parts.sync(folder, target)
    write(folder, {f"many/{i}.txt": None for i in range(39)})
    await parts.sync(folder, target)
    (first,) = await parts.store.progress.held_in(target)
    before = {f"many/{i}.txt": f"words number {i} in this file\n" for i in range(2)}
    write(folder, {**before, "many/39.txt": None})
    for _ in range(5):
        await parts.sync(folder, target)
    held = await parts.store.progress.held_in(target)
    assert list(held.values()) == [38, 38, 38, 37]
    latest, *_, again = held
    assert again == first

    async def counted(table: str, condition: str = "1") -> int:
        statement = f"SELECT count(*) FROM {table} WHERE {condition}"
        return (await parts.store.database.read(lambda c: c.execute(statement).fetchone()))[0]

    await parts.sync(folder, target, confirm_deletes=latest)
    assert await counted("held_deletes") == 0
    assert await counted("documents", "key LIKE 'many/%'") == 2


async def test_deletes_are_carried_out_that_were_confirmed_before_other_runs_held_the_same(parts, folder, target):
    write(folder, {f"many/{i}.txt": f"words number {i} in this file\n" for i in range(40)})
    await parts.sync(folder, target)
    write(folder, {f"many/{i}.txt": None for i in range(39)})
    for _ in range(2):
        await parts.sync(folder, target)
    second, _ = await parts.store.progress.held_in(target)
    source = await parts.source(folder)
    request = asked(confirm_deletes=second)
    confirming = await parts.store.invocations.create(source.id, target, Origin.API, request)
    await parts.store.invocations.start(confirming.id)
    await parts.store.invocations.postpone(confirming.id, 3600.0, "another run is under way", Counts())
    for _ in range(4):
        await parts.sync(folder, target)
    run = await parts.begin(source, confirming, DeleteGuard())
    await run.execute(FolderTreeSource(FolderSettings("folder", folder)))
    assert run.counts.deleted == 39


@pytest.mark.parametrize("left", [{"readme.txt": "the share is mounted here\n"}, {}])
@pytest.mark.parametrize("forgotten_by", ["another recipe", "somebody", "recovery"])
async def test_of_a_share_that_is_not_mounted_nothing_is_deleted_also_when_all_is_to_be_looked_at_again(
    parts, folder, target, forgotten_by, left
):
    record, recipe = await parts.source(folder), "a recipe"

    async def sync() -> None:
        invocation = await parts.store.invocations.create(record.id, target, Origin.WATCH, asked())
        run = await parts.begin(record, invocation, DeleteGuard(), recipe)
        with suppress(PermanentError):
            await run.execute(FolderTreeSource(FolderSettings("folder", folder)))
        await parts.store.invocations.settle(invocation.id, State.COMPLETE, run.counts)

    await sync()
    before = {row.id for row in await parts.chroma.get(target)}
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    write(folder, left)
    if forgotten_by == "another recipe":
        recipe = "a recipe of a later syncd"
    elif forgotten_by == "somebody":
        await parts.store.progress.forget_cursor(record.id, (await parts.store.collections.find(target)).id)
    else:
        await parts.store.database.write(invalidate_cursors)
    for _ in range(2):
        await sync()
    assert before <= {row.id for row in await parts.chroma.get(target)}


async def test_what_another_run_holds_and_no_later_one_stays_held(parts, folder, target):
    record = await parts.source(folder)
    runs = []
    for number in range(6):
        write(folder, {f"{number}.txt": f"words number {number}\n"})
        await parts.sync(folder, target)
    for number in range(6):
        run = await parts.store.invocations.create(record.id, target, Origin.WATCH, asked(keys=[f"{number}.txt"]))
        await parts.store.progress.hold_deletes(run.id, [f"{number}.txt"], "suspiciously many")
        await parts.store.invocations.settle(run.id, State.COMPLETE, Counts())
        runs.append(run.id)
    assert set(await parts.store.progress.held_in(target)) == set(runs)


async def test_documents_that_came_back_are_held_by_the_run_that_misses_them_again_alone(parts, folder, target):
    many = {f"many/{i}.txt": f"words number {i} in this file\n" for i in range(30)}
    for _ in range(2):
        write(folder, many)
        await parts.sync(folder, target)
        write(folder, dict.fromkeys(many))
        await parts.sync(folder, target)
    held = "SELECT count(*) FROM held_deletes"
    assert await parts.store.database.read(lambda c: c.execute(held).fetchone()) == (30,)
