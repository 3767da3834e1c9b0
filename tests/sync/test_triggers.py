"""Who asks for runs, and when."""

import time
from collections import defaultdict

import anyio
import pytest

from syncd.errors import RetryableError
from syncd.model import Chunking, Embedding, GitRef, OneObject, Origin, SomeKeys, Target, WholeSource
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.sync.triggers import Triggers
from tests.models import in_its_own_task
from tests.runtime.running import running


class Outside:
    """Sources that change when the test says so, and the run that each asks for."""

    def __init__(self) -> None:
        self.sends, self.receives = {}, {}
        self.looks: defaultdict[str, int] = defaultdict(int)
        self.failures = 0
        self.endings: dict[str, list[Exception | None]] = {}
        """How the next watches of a name end at once: with an error, or (None) as if nothing were left to see."""

    def stream(self, name):
        if name not in self.sends:
            self.sends[name], self.receives[name] = anyio.create_memory_object_stream(10)
        return self.receives[name]

    async def watch(self, record, report):
        self.looks[record.name] += 1
        if self.failures:
            self.failures -= 1
            raise RetryableError("away")
        if self.endings.get(record.name):
            if ending := self.endings[record.name].pop():
                raise ending
            return
        async for request in self.stream(record.name):
            yield request

    async def say(self, name, value):
        self.stream(name)
        await self.sends[name].send(value)


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


@pytest.fixture
def outside():
    return Outside()


@pytest.fixture
async def triggers(store, outside):
    woken = anyio.Event()
    made = Triggers(store, outside.watch, woken.set)
    async with in_its_own_task(running(made)):
        yield made


async def source(store, name, kind, **settings):
    return await store.sources.create(kind, "db", TYPES[kind].codec.read(settings), Embedding(), Chunking(), name)


async def asked(store, count):
    """Wait until so many invocations were asked for, and return them, oldest first."""
    with anyio.fail_after(120):
        while len(found := await store.invocations.list(newest_first=False)) < count:
            await anyio.lowlevel.checkpoint()
    return found


async def test_a_change_asks_for_the_run_that_the_source_wants(store, outside, triggers):
    watch = {"target_collection_name": "code", "branch": "main", "interval_s": 60}
    await source(store, "code", "github", repository="a/b", watch=watch)
    triggers.sources_changed()
    await outside.say("code", WholeSource(ref=GitRef(branch="main")))
    (first,) = await asked(store, 1)
    assert (first.target, first.origin, first.request) == (
        Target("db", "code"),
        Origin.WATCH,
        WholeSource(ref=GitRef(branch="main")),
    )
    await store.invocations.start(first.id)
    await outside.say("code", WholeSource(ref=GitRef(branch="main")))
    assert len(await asked(store, 2)) == 2


async def test_a_paused_source_is_not_looked_at_and_looked_at_anew_when_it_is_resumed(store, outside, triggers):
    watch = {"target_collection_name": "code", "branch": "main", "interval_s": 60}
    paused = await source(store, "code", "github", repository="a/b", watch=watch)
    other = await source(store, "other", "github", repository="a/c", watch=watch)
    await store.source_names.pause(paused.id)
    triggers.sources_changed()
    await outside.say("other", WholeSource())
    assert [run.source_id for run in await asked(store, 1)] == [other.id]
    assert outside.looks["code"] == 0
    await store.source_names.resume(paused.id)
    triggers.sources_changed()
    await outside.say("code", WholeSource())
    assert [run.source_id for run in await asked(store, 2)] == [other.id, paused.id]
    assert list(triggers.states()) == [other.id, paused.id]


async def test_changed_files_are_asked_for_by_key_and_join_a_waiting_run(store, outside, triggers):
    await source(store, "notes", "folder", path="/x", watch={"target_collection_name": "notes"})
    triggers.sources_changed()
    await outside.say("notes", SomeKeys(("a.md", "b.md")))
    (invocation,) = await asked(store, 1)
    assert invocation.request == SomeKeys(("a.md", "b.md"))
    await outside.say("notes", SomeKeys(("c.md",)))
    with anyio.fail_after(120):
        while (await store.invocations.get(invocation.id)).request != SomeKeys(("a.md", "b.md", "c.md")):
            await anyio.lowlevel.checkpoint()
    await store.invocations.start(invocation.id)
    await outside.say("notes", WholeSource())
    assert (await asked(store, 2))[1].request == WholeSource()


async def test_a_schedule_counts_from_the_last_run_whoever_asked_for_it(store, triggers):
    settings = {"starting_url": "http://x/", "schedule": {"target_collection_name": "site", "interval_s": 3600}}
    record = await source(store, "site", "web_scrape", **settings)
    await store.invocations.create(record.id, Target("db", "site"), Origin.API)
    for number in range(60):
        await store.invocations.create(record.id, Target("db", "site"), Origin.EVENT, OneObject(str(number)))
    overdue = await source(store, "overdue", "web_scrape", **settings)
    old = await store.invocations.create(overdue.id, Target("db", "site"), Origin.API)
    await store.database.write(
        lambda c: c.execute(
            "UPDATE invocations SET created_at = ?, state = 'complete' WHERE id = ?", (time.time() - 7200, old.id)
        )
    )
    triggers.sources_changed()
    found = await asked(store, 63)
    assert [(i.source_id, i.origin) for i in found[62:]] == [(overdue.id, Origin.SCHEDULE)]


@pytest.mark.parametrize("is_next_asked_for", [False, True])
async def test_a_schedule_asks_for_nothing_while_a_run_is_under_way_or_the_next_one_waits(
    store, outside, is_next_asked_for
):
    settings = {"starting_url": "http://x/", "schedule": {"target_collection_name": "site", "interval_s": 3600}}
    record = await source(store, "site", "web_scrape", **settings)
    first = await store.invocations.create(record.id, Target("db", "site"), Origin.SCHEDULE)
    await store.invocations.start(first.id)
    if is_next_asked_for:
        await store.invocations.create_or_join(record.id, Target("db", "site"), Origin.SCHEDULE, WholeSource())
    await store.database.write(lambda c: c.execute("UPDATE invocations SET created_at = ?", (time.time() - 7200,)))
    looked, asked_for = anyio.Event(), []
    is_begun = store.invocations.is_begun

    async def look(*place):
        found = await is_begun(*place)
        looked.set()
        return found

    store.invocations.is_begun = look
    async with in_its_own_task(running(Triggers(store, outside.watch, lambda: asked_for.append(1)))):
        with anyio.fail_after(120):
            await looked.wait()
    assert not asked_for
    assert len(await store.invocations.list()) == 1 + is_next_asked_for


async def test_what_is_asked_for_again_later_is_due_when_its_schedule_is(store, triggers):
    settings = {"starting_url": "http://x/", "schedule": {"target_collection_name": "site", "interval_s": 3600}}
    record = await source(store, "site", "web_scrape", **settings)
    failed = await store.invocations.create(record.id, Target("db", "site"), Origin.SCHEDULE)
    await store.invocations.follow_up(failed, 86_400)
    ended = "UPDATE invocations SET created_at = ?, state = iif(id = ?, 'failed', state)"
    await store.database.write(lambda c: c.execute(ended, (time.time() - 7200, failed.id)))
    triggers.sources_changed()
    with anyio.fail_after(120):
        while not (due := await store.invocations.due(1)):
            await anyio.lowlevel.checkpoint()
    assert len(await store.invocations.list()) == 2
    assert due[0].id != failed.id


async def test_a_source_that_is_gone_is_watched_no_longer_and_a_changed_one_anew(store, outside, triggers):
    watch = {"target_collection_name": "code", "interval_s": 60}
    record = await source(store, "code", "github", repository="a/b", watch=watch)
    triggers.sources_changed()
    with anyio.fail_after(120):
        while outside.looks["code"] < 1:
            await anyio.lowlevel.checkpoint()
    other = TYPES["github"].codec.read({"repository": "a/c", "watch": watch})
    await store.sources.replace(record, "db", other, Embedding(), Chunking())
    triggers.sources_changed()
    with anyio.fail_after(120):
        while outside.looks["code"] < 2:
            await anyio.lowlevel.checkpoint()
    await store.sources.delete(record.id)
    triggers.sources_changed()
    with anyio.fail_after(120):
        while triggers._watching:
            await anyio.lowlevel.checkpoint()


async def test_a_watch_that_fails_is_taken_up_again(store, outside, triggers):
    outside.failures = 1
    await source(store, "code", "github", repository="a/b", watch={"target_collection_name": "code"})
    triggers.sources_changed()
    await outside.say("code", WholeSource())
    assert len(await asked(store, 1)) == 1
    assert outside.looks["code"] == 2


@pytest.mark.parametrize("ending", [TypeError("odd"), ExceptionGroup("of tasks", [ValueError("odd")]), None])
async def test_a_watch_that_meets_a_bug_or_ends_costs_no_other_source_its_own(store, outside, triggers, ending):
    outside.endings["odd"] = [ending]
    for name in ("odd", "code"):
        await source(store, name, "github", repository="a/b", watch={"target_collection_name": name})
    triggers.sources_changed()
    await outside.say("code", WholeSource())
    await outside.say("odd", WholeSource())
    found = await asked(store, 2)
    assert sorted(i.target.collection for i in found) == ["code", "odd"]
    assert (outside.looks["code"], outside.looks["odd"]) == (1, 2)


async def test_a_watch_that_fails_has_failed_since_then_after_a_restart_too(store, outside):
    record = await source(store, "code", "github", repository="a/b", watch={"target_collection_name": "code"})
    outside.failures = 1 << 30
    states = []
    for _ in range(2):
        triggers = Triggers(store, outside.watch, lambda: None)
        async with in_its_own_task(running(triggers)):
            with anyio.fail_after(120):
                while not await store.watch_failures.all():
                    await anyio.lowlevel.checkpoint()
                while not (now := triggers.states().get(record.id)) or now.failing_since is None:
                    await anyio.lowlevel.checkpoint()
            states.append((now.failing_since, now.reason))
    assert states[0] == states[1]
    outside.failures = 0
    triggers = Triggers(store, outside.watch, lambda: None)
    async with in_its_own_task(running(triggers)):
        with anyio.fail_after(120):
            while record.id not in triggers.states():
                await anyio.lowlevel.checkpoint()
            triggers._states.looked(record.id, "", 0.0)
            while await store.watch_failures.all():
                await anyio.lowlevel.checkpoint()
