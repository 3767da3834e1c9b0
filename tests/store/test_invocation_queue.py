"""What is due comes in order of urgency, sources take turns, and the rest of what waits costs nothing."""

import sqlite3
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.model import (
    ConfirmDeletes,
    DeleteDocuments,
    LeaveCollection,
    OneObject,
    SlotKind,
    SomeKeys,
    Upload,
    WholeSource,
)
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.invocation_codec import request_to_json
from syncd.sync.slots import slot_kind

LATER = 3600.0
INSERT = (
    "INSERT INTO invocations (id, source_id, source_type, database, collection, origin, priority, request, state, not_before, "
    "created_at) VALUES (?, ?, 'folder', 'db', 'docs', 'api', ?, ?, ?, ?, 0)"
)
PAUSED = (
    "INSERT INTO sources (id, type, database, settings, embedding, chunking, created_at, paused_at) "
    "VALUES (?, 'folder', 'db', '{}', '{}', '{}', 0, 0)"
)


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


async def waiting(
    store: Store, rows: list[tuple[str, int, str, float]], paused: frozenset[str] = frozenset(), request: str = "{}"
) -> None:
    """Have exactly these wait, in this order: source, priority, state, and in how many seconds it is due."""

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM invocations")
        connection.execute("DELETE FROM sources")
        connection.executemany(PAUSED, [(source,) for source in paused])
        now = time.time()
        connection.executemany(
            INSERT,
            [
                (f"{at:06}", source, priority, request, state, now + due_s)
                for at, (source, priority, state, due_s) in enumerate(rows)
            ],
        )

    await store.database.write(fill)


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.integers(0, 2),
        st.sampled_from(["pending", "processing", "complete"]),
        st.sampled_from([-1.0, LATER]),
    ),
    max_size=30,
)


@given(rows=ROWS, paused=st.frozensets(st.sampled_from("abcde"), max_size=2), limit=st.integers(1, 12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_urgent_ones_come_first_and_equally_urgent_sources_take_turns(store, rows, paused, limit):
    await waiting(store, rows, paused)
    turns: dict[str, int] = {}
    due = [
        (priority, at, source)
        for at, (source, priority, state, due_s) in enumerate(rows)
        if state != "complete" and due_s < 0 and source not in paused
    ]
    first = {source: min(one for one in due if one[2] == source) for _, _, source in due}
    expected = []
    for priority, at, source in sorted(due):
        turns[source] = turns.get(source, -1) + 1
        expected.append((priority, turns[source], first[source][0], source, f"{at:06}"))
    found = [one.id for one in await store.invocations.due(limit)]
    assert found == [one[-1] for one in sorted(expected)][:limit]


async def test_what_waits_behind_what_is_asked_for_is_not_looked_at(store):
    steps: list[int] = []
    for sources in (50, 5_000):
        await waiting(store, [(f"source-{number:05}", 1, "pending", -1.0) for number in range(sources)])
        counted: list[None] = []
        # A callback every ten instructions of SQLite's machine, whose number does not depend on how busy this one is.
        await store.database.read(lambda c, counted=counted: c.set_progress_handler(lambda: counted.append(None), 10))
        await store.invocations.due(10)
        await store.invocations.due(1000, [SlotKind.OBJECT, SlotKind.UPLOAD])
        await store.invocations.next_due_in_s(time.time())
        await store.database.read(lambda c: c.set_progress_handler(None, 10))
        steps.append(len(counted))
    assert steps[1] < 2 * steps[0]


@pytest.mark.parametrize(
    "request_",
    [
        WholeSource(),
        WholeSource(dry_run=True),
        SomeKeys(("a", "b"), WholeSource()),
        OneObject("a", "an id", {"lamp": 1}),
        Upload(file="f", filename="f"),
        ConfirmDeletes("an id", WholeSource()),
        LeaveCollection(),
        DeleteDocuments(("a",)),
    ],
)
async def test_the_kind_of_slot_that_is_asked_for_in_sql_is_that_of_the_request(store, request_):
    await waiting(store, [("source", 0, "pending", -1.0)], request=request_to_json(request_))
    for kind in SlotKind:
        assert [slot_kind(one) for one in await store.invocations.due(1, [kind])] in ([], [kind])
    assert len(await store.invocations.due(1)) == 1
