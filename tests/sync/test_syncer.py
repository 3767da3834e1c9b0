"""What the Syncer does when a run cannot be finished now."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO

import anyio
import pytest

from syncd.api.views import job_view
from syncd.errors import BugError, ConfigError, OvertakenError, RetryableError
from syncd.model import Checkpoint, Document, Invocation, Origin, State, Target, WholeSource
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.runtime.retry import Backoff
from syncd.runtime.wakeup import Wakeup
from syncd.sources.registry import TYPES
from syncd.sources.s3.settings import S3SourceSettings
from syncd.sources.web.settings import WebSourceSettings
from syncd.store.changes import Replacement
from syncd.store.invocation_queue import FOLLOW_UPS
from syncd.sync.runner import Runner
from syncd.sync.settings import SyncSettings
from syncd.sync.syncer import Syncer
from tests.pipeline.parts import CHUNKING, MODEL, running

HASTY = SyncSettings(run_attempts=3, document_attempts=2, last_chance_attempt=2, backoff=Backoff(0.001, cap_s=0.001))


class Text:
    """A body in memory, or the error that opening it raises."""

    def __init__(self, content: str | Exception) -> None:
        self.content = content
        self.opened = 0

    @asynccontextmanager
    async def open(self):
        self.opened += 1
        if isinstance(self.content, Exception):
            raise self.content
        yield BytesIO(self.content.encode())


def document(content: str | Exception, **values) -> Document:
    return Document("a.txt", "1", Text(content), "a", **values)


class Fixed:
    """A source that yields one document, or fails."""

    def __init__(self, what: Callable[[int], Document]) -> None:
        self.what = what
        self.runs = 0

    async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
        self.runs += 1
        yield self.what(self.runs)
        yield Checkpoint("end")


@pytest.fixture
async def parts(tmp_path, chroma_server):
    from tests.models import in_its_own_task

    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as opened:
        yield opened


@asynccontextmanager
async def syncing(parts, source, listeners=(), settings=HASTY) -> AsyncIterator[Syncer]:
    """Yield a running syncer, whose sources are all `source`, or the one of their id."""

    async def embedder(_: str):
        return parts.embedder

    async def opened(record):
        return source[record.id] if isinstance(source, dict) else source

    async with DocumentPreparer() as preparer, anyio.create_task_group() as group:
        preparation = Preparation(lambda _source: preparer, embedder)
        ingester = Ingester(parts.store, parts.ingester.effects(False), parts.stage, preparation)
        runner = Runner(parts.store, parts.chroma, parts.index, ingester, opened, settings)
        syncer = Syncer(parts.store, runner, Wakeup(), listeners)
        await group.start(syncer.run)
        yield syncer
        group.cancel_scope.cancel()


SETTINGS = S3SourceSettings(bucket_name="bucket", region="r")
SITE = WebSourceSettings(starting_url="https://example.org/")


async def created(parts, origin: Origin, name: str, kind: str = "s3") -> Invocation:
    """Create a source and an invocation of it."""
    settings = SITE if kind == "web_scrape" else SETTINGS
    record = await parts.store.sources.create(kind, "default_database", settings, MODEL, CHUNKING)
    return await parts.store.invocations.create(record.id, Target("default_database", name), origin)


async def ended(parts, source: Fixed, origin: Origin, name: str) -> Invocation:
    """Serve the source's one invocation until it has settled, and return it."""
    invocation = await created(parts, origin, name)
    async with syncing(parts, source):
        return await settled(parts, invocation)


async def settled(parts, invocation: Invocation) -> Invocation:
    """Wait until an invocation is over, and return it."""
    with anyio.fail_after(30):
        while invocation.state not in (State.COMPLETE, State.FAILED):
            await anyio.sleep(0.01)
            invocation = await parts.store.invocations.get(invocation.id)
    return invocation


def away(_: int) -> Document:
    raise RetryableError("the other side is away")


async def test_a_run_that_cannot_be_had_fails_after_some_attempts(parts, fresh_name):
    invocation = await ended(parts, source := Fixed(away), Origin.API, fresh_name)
    assert (invocation.state, source.runs) == (State.FAILED, HASTY.run_attempts)
    assert "the other side is away" in invocation.error


async def test_a_source_that_is_configured_wrongly_fails_alone(parts, fresh_name):
    def wrong(_: int) -> Document:
        raise ConfigError("github.private_key_file 'key.pem' cannot be read")

    invocation = await ended(parts, source := Fixed(wrong), Origin.API, fresh_name)
    assert (invocation.state, source.runs) == (State.FAILED, 1)
    assert "key.pem" in invocation.error


async def test_a_run_that_an_event_asked_for_is_never_given_up(parts, fresh_name):
    source = Fixed(lambda run: away(run) if run < 10 else document("here again"))
    invocation = await ended(parts, source, Origin.EVENT, fresh_name)
    assert (invocation.state, source.runs) == (State.COMPLETE, 10)


async def test_a_document_that_cannot_be_had_fails_alone_at_last(parts, fresh_name):
    source = Fixed(lambda _: document(RetryableError("half of it is missing")))
    invocation = await ended(parts, source, Origin.SCHEDULE, fresh_name)
    assert (invocation.state, source.runs) == (State.COMPLETE, HASTY.last_chance_attempt)
    assert (invocation.counts.failed, invocation.counts.indexed) == (1, 0)


async def test_a_document_that_was_overtaken_is_looked_at_again(parts, fresh_name):
    async def again() -> Document:
        return replace(document("the newer one"), version="2")

    source = Fixed(lambda _: document(OvertakenError("it changed"), again=again))
    invocation = await ended(parts, source, Origin.SCHEDULE, fresh_name)
    assert (invocation.state, source.runs, invocation.counts.indexed) == (State.COMPLETE, 1, 1)
    assert [row.document for row in await parts.chroma.get(invocation.target)] == ["the newer one"]


async def test_one_that_went_meanwhile_is_a_delete(parts, fresh_name):
    async def again() -> Document:
        return Document("a.txt", "", None, "")

    source = Fixed(lambda _: document(OvertakenError("it went"), again=again))
    invocation = await ended(parts, source, Origin.SCHEDULE, fresh_name)
    assert (invocation.state, source.runs, invocation.counts.deleted) == (State.COMPLETE, 1, 1)


async def test_a_cancelled_run_lets_go_of_the_document_in_hand(parts, fresh_name):
    class Endless:
        """A body that is being read for ever."""

        def __init__(self) -> None:
            self.begun, self.left = anyio.Event(), anyio.Event()

        @asynccontextmanager
        async def open(self):
            self.begun.set()
            try:
                await anyio.sleep_forever()
                yield BytesIO()
            finally:
                self.left.set()

    body = Endless()
    invocation = await created(parts, Origin.API, fresh_name)
    async with syncing(parts, Fixed(lambda _: Document("a.txt", "1", body, "a"))) as syncer:
        with anyio.fail_after(30):
            await body.begun.wait()
            await parts.store.invocations.cancel(invocation.id)
            syncer.wake()
            await body.left.wait()
    assert (await parts.store.invocations.get(invocation.id)).state is State.CANCELLED


class Broken(Fixed):
    """A source with a bug in it, which arrives as the source's task group raises it where `grouped`."""

    def __init__(self, grouped: bool = False) -> None:
        super().__init__(away)
        self.grouped = grouped

    async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
        self.runs += 1
        if self.grouped:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, int, None)
        raise TypeError("'NoneType' object is not subscriptable")
        yield


@pytest.mark.parametrize("origin", [Origin.API, Origin.EVENT])
async def test_runs_that_meet_a_bug_fail_after_some_attempts_and_the_others_go_on(parts, fresh_name, origin):
    sources = {}
    broken = [await created(parts, origin, f"{fresh_name}-{number}") for number in range(2)]
    sources.update({i.source_id: Broken(grouped=number == 1) for number, i in enumerate(broken)})
    good = await created(parts, origin, fresh_name)
    sources[good.source_id] = Fixed(lambda _: document("in good order"))
    async with syncing(parts, sources):
        assert (await settled(parts, good)).state is State.COMPLETE
        for invocation in broken:
            over = await settled(parts, invocation)
            assert (over.state, sources[over.source_id].runs) == (State.FAILED, HASTY.bug_attempts)
            assert "report it" in over.error
            assert "TypeError in " in over.error


async def test_the_attempts_of_a_run_that_meets_a_bug_outlive_the_daemon(parts, fresh_name):
    once = replace(HASTY, backoff=Backoff(3600.0, cap_s=3600.0, random=lambda: 1.0))
    invocation = await created(parts, Origin.EVENT, fresh_name)
    source = Broken()
    for number in range(1, HASTY.bug_attempts):
        async with syncing(parts, source, settings=once):
            with anyio.fail_after(30):
                while (await parts.store.invocations.get(invocation.id)).bugs < number:  # noqa: ASYNC110 - a database
                    await anyio.sleep(0.01)
        await parts.store.invocations.postpone(invocation.id, 0.0, "", invocation.counts)
    async with syncing(parts, source, settings=once):
        assert (await settled(parts, invocation)).state is State.FAILED
    assert source.runs == HASTY.bug_attempts


@pytest.mark.parametrize("error", [ValueError("odd"), RecursionError(), MemoryError()])
async def test_a_document_that_meets_a_bug_fails_alone(parts, fresh_name, error):
    odd = Document("odd.txt", "1", Text(error), "odd")

    class Two(Fixed):
        async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
            self.runs += 1
            yield odd
            yield document("in good order")
            yield Checkpoint("end")

    invocation = await ended(parts, source := Two(away), Origin.EVENT, fresh_name)
    assert (invocation.state, source.runs) == (State.COMPLETE, 1)
    assert (invocation.counts.failed, invocation.counts.indexed) == (1, 1)
    assert odd.body.opened == HASTY.document_attempts
    (failed,) = await parts.store.invocations.documents(invocation.id, "failed")
    assert failed.key == "odd.txt"
    assert "report it" in failed.reason


async def test_a_delete_that_meets_a_bug_fails_alone(parts, fresh_name):
    class Gone(Fixed):
        async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
            self.runs += 1
            if self.runs == 1:
                yield document("in good order")
            yield Checkpoint("end", absent_are_gone=True)

        async def is_gone(self, key: str, collection: str) -> bool:
            raise TypeError("odd")

    first = await ended(parts, source := Gone(away), Origin.API, fresh_name)
    again = await parts.store.invocations.create(first.source_id, first.target, Origin.API)
    async with syncing(parts, source):
        over = await settled(parts, again)
    assert (over.state, over.counts.failed, over.counts.deleted) == (State.COMPLETE, 1, 0)
    assert [row.document for row in await parts.chroma.get(over.target)] == ["in good order"]


async def test_who_waits_for_invocations_hears_of_each_end_though_another_listener_meets_a_bug(parts, fresh_name):
    heard = []

    async def broken(invocation: Invocation) -> None:
        heard.append(("broken", invocation.id))
        raise TypeError("odd")

    async def sound(invocation: Invocation) -> None:
        now = await parts.store.invocations.get(invocation.id)
        heard.append((now.state, invocation.id))

    both = [await created(parts, Origin.API, f"{fresh_name}-{number}") for number in range(2)]
    async with syncing(parts, Fixed(lambda _: document("in good order")), [broken, sound]):
        for invocation in both:
            assert (await settled(parts, invocation)).state is State.COMPLETE
        with anyio.fail_after(30):
            while len(heard) < 4:  # noqa: ASYNC110 - told right after a settlement that the database has already
                await anyio.sleep(0.01)
    assert set(heard) == {(who, invocation.id) for who in ("broken", State.COMPLETE) for invocation in both}


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


class Cut:
    """A site of which a run sees one page, and the last run of `ends` all there is."""

    def __init__(self, *ends: Checkpoint) -> None:
        self.ends = list(ends)

    async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
        yield document("what can be seen")
        yield self.ends.pop(0)


async def test_a_run_that_saw_a_part_says_so_deletes_nothing_and_leaves_the_collection_open(parts, fresh_name):
    part = Checkpoint("1", absent_are_gone=True, incomplete="the sitemap was cut")
    first = await created(parts, Origin.API, fresh_name, "web_scrape")
    async with syncing(parts, Cut(part, Checkpoint("2", absent_are_gone=True))) as syncer:
        ended = await settled(parts, first)
        assert (ended.state, ended.error) == (State.COMPLETE, "the sitemap was cut")
        assert job_view(TYPES, ended, None)["incomplete"] == "the sitemap was cut"
        assert "finished_ingest" not in (await parts.chroma.metadata(first.target) or {})
        second = await parts.store.invocations.create(first.source_id, first.target, Origin.API)
        syncer.wake()
        ended = await settled(parts, second)
    assert (ended.error, job_view(TYPES, ended, None)["incomplete"]) == (None, None)
    assert (await parts.chroma.metadata(first.target))["finished_ingest"] is True


async def test_what_was_not_seen_in_part_of_a_site_stays(parts, fresh_name):
    class Two:
        runs = 0

        async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
            self.runs += 1
            yield document("one")
            if self.runs == 1:
                yield Document("b.txt", "1", Text("two"), "b")
            yield Checkpoint(str(self.runs), absent_are_gone=True, incomplete="cut" if self.runs == 2 else "")

    first = await created(parts, Origin.SCHEDULE, fresh_name, "web_scrape")
    left: list[int] = []
    async with syncing(parts, Two()) as syncer:
        for invocation in (first, *[None] * 2):
            asked = invocation or await parts.store.invocations.create(first.source_id, first.target, Origin.SCHEDULE)
            syncer.wake()
            await settled(parts, asked)
            left.append(await parts.chroma.count(first.target))
    assert left == [2, 2, 1]


async def test_a_run_that_may_see_more_later_is_asked_for_again_and_then_closes_the_collection(parts, fresh_name):
    later = Checkpoint("", incomplete="a page is put off", again_after_s=0.0)
    first = await created(parts, Origin.API, fresh_name, "web_scrape")
    async with syncing(parts, Cut(later, Checkpoint("2", absent_are_gone=True))):
        ended = await settled(parts, first)
        (again,) = [i for i in await parts.store.invocations.list(first.source_id) if i.id != first.id]
        assert (ended.error, again.origin, again.request) == ("a page is put off", Origin.API, WholeSource(follow_up=1))
        assert (await settled(parts, again)).error is None
    assert (await parts.chroma.metadata(first.target))["finished_ingest"] is True


async def test_a_source_that_is_never_seen_whole_is_left_alone_at_last(parts, fresh_name):
    later = Checkpoint("", incomplete="a page is put off", again_after_s=0.0)
    first = await created(parts, Origin.API, fresh_name, "web_scrape")
    async with syncing(parts, Cut(*[later] * 9)):
        while waiting := await parts.store.invocations.due(1):
            await settled(parts, waiting[0])
    assert len(await parts.store.invocations.list(first.source_id)) == 1 + FOLLOW_UPS


async def test_a_crash_between_asking_again_and_settling_doubles_nothing(parts, fresh_name):
    first = await created(parts, Origin.API, fresh_name, "web_scrape")
    for _ in range(2):
        await parts.store.invocations.follow_up(first, 3600.0)
    assert len(await parts.store.invocations.list(first.source_id)) == 2
    assert [one.id for one in await parts.store.invocations.due(9)] == [first.id]


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
