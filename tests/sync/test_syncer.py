"""Invocations are taken up side by side, and whoever waits hears of each end."""

from collections import defaultdict

import anyio
import pytest

from syncd.errors import BugError
from syncd.model import Checkpoint, Invocation, OneObject, Origin, State, Target
from syncd.store.changes import Replacement
from tests.pipeline.parts import CHUNKING, MODEL
from tests.sync.syncing import SETTINGS, Fixed, created, document, settled, syncing


async def test_who_waits_for_invocations_hears_of_each_end_though_another_listener_meets_a_bug(parts, fresh_name):
    heard = []

    async def broken(invocation: Invocation) -> None:
        heard.append(("broken", invocation.id))
        raise TypeError("odd")

    async def sound(invocation: Invocation) -> None:
        now = await parts.store.invocations.get(invocation.id)
        heard.append((now.state, invocation.id))

    both = [await created(parts, Origin.API, f"{fresh_name}-{number}") for number in range(2)]
    async with syncing(parts, Fixed(lambda _: document("in good order")), [broken, sound]) as syncer:
        for invocation in both:
            assert (await settled(parts, invocation)).state is State.COMPLETE
        with anyio.fail_after(120):
            while len(heard) < 4:  # noqa: ASYNC110 - told right after a settlement that the database has already
                await anyio.sleep(0.01)
    assert {ident: (each.complete, each.failed) for ident, each in syncer.run_totals.items()} == {
        invocation.source_id: (1, 0) for invocation in both
    }
    assert set(heard) == {(who, invocation.id) for who in ("broken", State.COMPLETE) for invocation in both}


class Endless:
    """A source that is never at its end until it may be, and says when it has begun."""

    def __init__(self) -> None:
        self.begun, self.may_end = anyio.Event(), False

    async def changes(self, run):
        self.begun.set()
        yield document("what comes first")
        while not self.may_end:
            await anyio.sleep(0.01)
            yield Checkpoint("still going", is_mark=True)
        yield Checkpoint("end")


async def test_the_run_of_a_paused_source_ends_in_the_middle_and_goes_on_when_it_is_resumed(parts, fresh_name):
    invocation, source = await created(parts, Origin.API, fresh_name), Endless()
    async with syncing(parts, source) as syncer:
        await source.begun.wait()
        await parts.store.source_names.pause(invocation.source_id)
        syncer.wake()
        with anyio.fail_after(120):
            while syncer.progress(invocation.id):  # noqa: ASYNC110 - nobody hears of an end in the middle
                await anyio.sleep(0.01)
        source.may_end = True
        syncer.wake()
        assert (await parts.store.invocations.get(invocation.id)).state is State.PROCESSING
        await parts.store.source_names.resume(invocation.source_id)
        syncer.wake()
        assert (await settled(parts, invocation)).state is State.COMPLETE


NUMBERS = "WITH RECURSIVE copy (number) AS (VALUES (1) UNION ALL SELECT number + 1 FROM copy WHERE number < 1100)"
SOURCES = (
    "INSERT INTO sources (id, type, database, settings, embedding, chunking, created_at) "
    f"{NUMBERS} SELECT ' ' || number, type, database, settings, embedding, chunking, created_at FROM copy, sources"
)
RUNS = (
    "INSERT INTO invocations (id, source_id, source_type, database, collection, origin, priority, request, state, created_at) "
    f"{NUMBERS} SELECT number, ' ' || number, source_type, database, collection, origin, priority, request, state, created_at "
    "FROM copy, invocations"
)


async def test_single_objects_do_not_wait_behind_a_thousand_whole_runs_that_are_as_urgent(parts, fresh_name):
    await created(parts, Origin.WATCH, fresh_name)
    for copies in (SOURCES, RUNS):
        await parts.store.database.write(lambda c, copies=copies: c.execute(copies))
    last = await parts.store.sources.create("s3", "default_database", SETTINGS, MODEL, CHUNKING)
    event = await parts.store.invocations.create(
        last.id, Target("default_database", f"{fresh_name}-last"), Origin.EVENT, OneObject("a.txt")
    )
    endless = defaultdict[str, object](Endless)
    endless[last.id] = Fixed(lambda _: document("an event's object"))
    async with syncing(parts, endless):
        assert (await settled(parts, event)).state is State.COMPLETE


async def test_an_invocation_whose_end_cannot_be_recorded_rests_and_the_others_go_on(parts, fresh_name):
    stuck = await created(parts, Origin.API, f"{fresh_name}-stuck")
    refusal = (
        f"BEFORE UPDATE OF finished_at ON invocations WHEN new.id = '{stuck.id}' BEGIN SELECT RAISE(ABORT, 'odd'); END"
    )
    await parts.store.database.write(lambda c: c.execute(f"CREATE TRIGGER refusal {refusal}"))
    source = Fixed(lambda _: document("in good order"))
    sources, sound = {stuck.source_id: source}, Fixed(lambda _: document("as well"))
    async with syncing(parts, sources) as syncer:
        for number in range(3):
            other = await created(parts, Origin.API, f"{fresh_name}-{number}")
            sources[other.source_id] = sound
            syncer.wake()
            assert (await settled(parts, other)).state is State.COMPLETE
    assert ((await parts.store.invocations.get(stuck.id)).state, source.runs) == (State.PROCESSING, 1)


async def test_a_document_that_cannot_be_stored_costs_none_of_its_batch_and_not_the_index(parts, fresh_name):
    collection = await parts.index.open(Target("default_database", fresh_name), MODEL)
    replies = [
        await parts.index.mailbox.put(Replacement(collection.id, "s", key, key, "1", "f", "h", 1, ()))
        for key in ("a", "odd\udcff", "b")
    ]
    await replies[0]
    with pytest.raises(BugError, match="UnicodeEncodeError"):
        await replies[1]
    await replies[2]
