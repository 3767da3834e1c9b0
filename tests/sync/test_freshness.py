"""A source is behind while what was asked of it is not there, and late when that takes longer than it promises."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model import Counts, Origin, SomeKeys, State
from syncd.model.watching import WatchState
from syncd.sync.freshness import standings
from tests.asking import asked


@pytest.fixture
async def promising(parts, folder):
    """The folder's source, which promises 60 s."""
    record = await parts.source(folder)
    await parts.store.database.write(
        lambda c: c.execute("UPDATE sources SET settings = json_set(settings, '$.max_lag_s', 60)")
    )
    return record


async def age(parts, seconds: float) -> None:
    await parts.store.database.write(
        lambda c: c.execute("UPDATE invocations SET created_at = created_at - ?", (seconds,))
    )


async def test_a_run_that_is_not_over_makes_a_source_behind_and_in_time_late(parts, promising, target):
    (standing,) = (await standings(parts.store, {})).values()
    assert (standing.behind_s, standing.is_late, standing.problem) == (0, False, None)
    invocation = await parts.store.invocations.create(promising.id, target, Origin.WATCH, asked())
    await age(parts, 30)
    assert (await standings(parts.store, {}))[promising.id].behind_s >= 30
    assert not (await standings(parts.store, {}))[promising.id].is_late
    await age(parts, 3600)
    assert "late: changes have waited 3,6" in (await standings(parts.store, {}))[promising.id].problem
    await parts.store.invocations.settle(invocation.id, State.COMPLETE, Counts())
    assert (await standings(parts.store, {}))[promising.id].behind_s == 0


async def test_a_document_that_fails_again_and_again_waits_since_it_was_asked_for_first(parts, promising, target):
    await parts.store.invocations.create(promising.id, target, Origin.WATCH, asked())
    await age(parts, 30)
    for _ in range(3):
        (invocation,) = await parts.store.invocations.due(9)
        await parts.store.invocations.follow_up(
            invocation, 0.0, SomeKeys(("a.py",), invocation.request.whole), limit=None
        )
        await parts.store.invocations.settle(invocation.id, State.COMPLETE, Counts(failed=1))
        assert (await standings(parts.store, {}))[promising.id].behind_s >= 30
    another = await parts.store.invocations.create_or_join(promising.id, target, Origin.WATCH, asked(keys=["b.py"]))
    (waiting,) = await parts.store.invocations.due(9)
    assert waiting.id == another.id
    assert waiting.request.keys == {"a.py", "b.py"}
    assert (await standings(parts.store, {}))[promising.id].behind_s >= 30


async def test_a_dry_run_brings_nothing_and_so_nothing_waits_for_it(parts, promising, target):
    await parts.store.invocations.create(promising.id, target, Origin.API, asked(dry_run=True))
    await age(parts, 3600)
    assert (await standings(parts.store, {}))[promising.id].behind_s == 0


async def test_a_source_that_cannot_be_looked_at_is_behind_since_then(parts, promising):
    watches = {promising.id: WatchState(datetime.now(UTC) - timedelta(minutes=5), "away")}
    assert (await standings(parts.store, watches))[promising.id].is_late


async def test_a_source_that_promises_nothing_is_never_late(parts, folder):
    record = await parts.source(folder)
    watches = {record.id: WatchState(datetime.now(UTC) - timedelta(days=5), "away")}
    standing = (await standings(parts.store, watches))[record.id]
    assert standing.behind_s > 86_400
    assert not standing.is_late
