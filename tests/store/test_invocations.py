"""Lists of runs and of their documents, of which those of one state may be few among very many."""

import pytest

from syncd.model import Counts, DocumentState, Embedding, Origin, State, Target
from syncd.model.records import Chunking
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store

TARGET = Target("default_database", "docs")
ENDS = (State.COMPLETE, State.FAILED, State.CANCELLED)


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def runs(store):
    """Runs of two sources in all states, and of one run documents of all outcomes."""
    made = []
    for path in ("/a", "/b"):
        settings = FolderSourceSettings(path=path)
        source = await store.sources.create("folder", TARGET.database, settings, Embedding(model="hash"), Chunking())
        for state in (*ENDS, State.PENDING):
            run = await store.invocations.create(source.id, TARGET, Origin.API)
            if state is State.CANCELLED:
                await store.invocations.cancel(run.id)
            elif state in ENDS:
                await store.invocations.settle(run.id, state, Counts())
            made.append((source.id, state, run.id))
    rows = [(made[0][2], f"{number}", state) for number in range(3) for state in DocumentState]
    statement = "INSERT INTO outcomes (invocation_id, key, state, at) VALUES (?, ?3 || ?2, ?3, 1.0)"
    await store.database.write(lambda c: c.executemany(statement, rows))
    return made


async def plan_of(store, asking) -> list[str]:
    """Return how SQLite does what `asking` asks for."""
    asked: list[str] = []
    await store.database.read(lambda c: c.set_trace_callback(asked.append))
    await asking
    await store.database.read(lambda c: c.set_trace_callback(None))
    return [
        row[3] for row in await store.database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall())
    ]


async def test_runs_are_listed_by_state_without_reading_those_that_went_well(store, runs):
    for state in (*ENDS, State.PENDING, State.PROCESSING):
        listed = [it.id for it in await store.invocations.list(state=state)]
        assert listed == [run for _, its, run in reversed(runs) if its is state]
        of_one = [it.id for it in await store.invocations.list(source_id=runs[0][0], state=state)]
        assert of_one == [run for source, its, run in reversed(runs) if its is state and source == runs[0][0]]
        if state is not State.COMPLETE:
            plan = await plan_of(store, store.invocations.list(state=state))
            assert plan == ["SEARCH invocations USING INDEX invocations_not_complete (state=?)"]


async def test_documents_of_a_run_are_listed_by_outcome_without_reading_those_that_were_indexed(store, runs):
    run = runs[0][2]
    whole = await store.invocations.documents(run)
    assert [it.key for it in whole] == sorted(it.key for it in whole)
    for state in DocumentState:
        listed = await store.invocations.documents(run, state)
        assert (listed, len(listed)) == ([it for it in whole if it.state is state], 3)
        assert await store.invocations.documents(run, state, 1, 1) == listed[1:2]
        if state is not DocumentState.INDEXED:
            plan = await plan_of(store, store.invocations.documents(run, state))
            assert plan == ["SEARCH outcomes USING INDEX outcomes_not_indexed (invocation_id=? AND state=?)"]


async def test_deletes_that_are_held_are_found_from_them_and_not_from_all_runs_and_documents(store, runs):
    held = store.progress
    for asking in (held.holding_runs(None), held.held_in(TARGET), held.still_held(runs[0][2])):
        first, *others = await plan_of(store, asking)
        assert first.split(" ")[:2] in (["SCAN", "h"], ["SEARCH", "h"])
        assert [step for step in others if step.startswith("SCAN")] == []
