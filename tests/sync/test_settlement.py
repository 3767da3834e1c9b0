"""How attempts end: settled, or postponed where another may do better."""

from dataclasses import replace

import anyio
import pytest

from syncd.errors import ConfigError, PermanentError, PutOffError, RetryableError
from syncd.model import Checkpoint, Document, OneObject, Origin, State, Target, WholeSource
from syncd.runtime.retry import Backoff
from syncd.sources.bodies import NoBody
from syncd.sources.s3.settings import AutoSync
from syncd.store.invocation_queue import FOLLOW_UPS
from tests.pipeline.parts import CHUNKING, MODEL
from tests.sync.syncing import (
    HASTY,
    SETTINGS,
    Broken,
    Cut,
    Fixed,
    Text,
    away,
    created,
    document,
    ended,
    settled,
    syncing,
)


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
            with anyio.fail_after(120):
                while (await parts.store.invocations.get(invocation.id)).bugs < number:  # noqa: ASYNC110 - a database
                    await anyio.sleep(0.01)
        await parts.store.invocations.postpone(invocation.id, 0.0, "", invocation.counts)
    async with syncing(parts, source, settings=once):
        assert (await settled(parts, invocation)).state is State.FAILED
    assert source.runs == HASTY.bug_attempts


async def test_a_run_that_may_see_more_later_is_asked_for_again_and_then_closes_the_collection(parts, fresh_name):
    later = Checkpoint("", incomplete="a page is put off", again_after_s=0.0)
    first = await created(parts, Origin.API, fresh_name, "web_scrape")
    async with syncing(parts, Cut(later, Checkpoint("2", absent_are_gone=True))):
        ended = await settled(parts, first)
        (again,) = [i for i in await parts.store.invocations.list(first.source_id) if i.id != first.id]
        assert (ended.error, again.origin) == ("a page is put off", Origin.API)
        assert again.request == WholeSource(follow_up=1, waiting_since=ended.created_at.timestamp())
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


@pytest.mark.parametrize("origin", [Origin.WATCH, Origin.SCHEDULE, Origin.BACKFILL])
async def test_a_run_that_nobody_waits_for_is_never_given_up(parts, fresh_name, origin):
    source = Fixed(lambda run: away(run) if run < 10 else document("here again"))
    invocation = await ended(parts, source, origin, fresh_name)
    assert (invocation.state, source.runs) == (State.COMPLETE, 10)


KEPT = replace(SETTINGS, auto_sync=AutoSync.DIRECT)


async def test_what_failed_in_a_collection_that_its_source_keeps_is_asked_for_again_until_it_is_there(
    parts, fresh_name
):
    def refused(_: int) -> Document:
        raise PermanentError("status 403")

    source = Fixed(lambda run: refused(run) if run < 8 else document("here again"))
    invocation = await created(parts, Origin.WATCH, fresh_name, settings=replace(KEPT, collection_name=fresh_name))
    async with syncing(parts, source):
        assert (await settled(parts, invocation)).error == "status 403"
        latest = await the_latest_complete(parts, invocation)
    assert (source.runs, latest.request.whole.follow_up) == (8, 7)


async def test_what_fails_for_whoever_waits_for_it_is_left_to_them(parts, fresh_name):
    def refused(_: int) -> Document:
        raise PermanentError("status 403")

    invocation = await created(parts, Origin.API, fresh_name, settings=replace(KEPT, collection_name=fresh_name))
    async with syncing(parts, Fixed(refused)):
        assert (await settled(parts, invocation)).state is State.FAILED
    assert len(await parts.store.invocations.list(invocation.source_id)) == 1


@pytest.mark.parametrize(("origin", "is_kept"), [(Origin.WATCH, True), (Origin.API, False)])
async def test_a_document_that_failed_for_now_is_asked_for_by_its_key_until_it_can_be_had(
    parts, fresh_name, origin, is_kept
):
    gone_for_now = Document("b.txt", "1", Text(RetryableError("half of it is missing")), "b")

    class Two(Fixed):
        async def changes(self, run):
            self.runs += 1
            if self.runs > 4:
                gone_for_now.body.content = "the whole of it"
            for item in (document("in good order"), gone_for_now):
                if run.keys is None or item.key in run.keys:
                    yield item
            yield Checkpoint(run.cursor or "end")

    settings = replace(KEPT, collection_name=fresh_name) if is_kept else SETTINGS
    invocation = await created(parts, origin, fresh_name, settings=settings)
    async with syncing(parts, Two(away)):
        first = await settled(parts, invocation)
        assert (first.state, first.counts.failed) == (State.COMPLETE, 1)
        with anyio.fail_after(120):
            while len(await parts.chroma.get(invocation.target)) < 2:  # noqa: ASYNC110 - a database
                await anyio.sleep(0.01)
    (latest, *_) = await parts.store.invocations.list(invocation.source_id)
    assert latest.request.keys == {"b.txt"}


async def test_a_document_that_every_run_puts_off_is_asked_for_by_one_run_at_a_time(parts, fresh_name):
    source = Fixed(lambda _: document(PutOffError("its process was killed")))
    settings = replace(KEPT, collection_name=fresh_name)
    whole = await created(parts, Origin.SCHEDULE, fresh_name, settings=settings)
    late = Backoff(3600, cap_s=3600, random=lambda: 1.0)
    async with syncing(parts, source, settings=replace(HASTY, again=late)) as syncer:
        for _ in range(3):
            await settled(parts, whole)
            (again,) = await waiting(parts)
            await parts.store.database.write(lambda c: c.execute("UPDATE invocations SET not_before = 0"))
            syncer.wake()
            await settled(parts, again)
            whole = await parts.store.invocations.create(whole.source_id, whole.target, Origin.SCHEDULE)
            syncer.wake()
        await settled(parts, whole)
    assert [each.request.keys for each in await waiting(parts)] == [{"a.txt"}]


async def waiting(parts):
    return [each for each in await parts.store.invocations.list() if each.state is State.PENDING]


async def test_one_object_that_failed_for_now_is_tried_again_by_its_own_invocation(parts, fresh_name):
    gone_for_now = document(PutOffError("its process was killed"))

    class Later(Fixed):
        async def changes(self, run):
            self.runs += 1
            if self.runs > 2:
                gone_for_now.body.content = "the whole of it"
            yield gone_for_now
            yield Checkpoint(run.cursor or "end")

    record = await parts.store.sources.create("s3", "default_database", SETTINGS, MODEL, CHUNKING)
    target = Target("default_database", fresh_name)
    invocation = await parts.store.invocations.create(record.id, target, Origin.API, OneObject("a.txt"))
    later = Backoff(3600.0, cap_s=3600.0, random=lambda: 1.0)
    async with syncing(parts, source := Later(away), settings=replace(HASTY, again=later)):
        with anyio.fail_after(120):
            while not (tries := await parts.store.invocations.next_tries(invocation))[0].not_before:  # noqa: ASYNC110 - a database
                await anyio.sleep(0.01)
    assert [(it.id, it.attempts, it.error) for it in tries] == [(invocation.id, 1, "its process was killed")]
    await parts.store.invocations.postpone(invocation.id, 0.0, "", invocation.counts)
    async with syncing(parts, source):
        assert (await settled(parts, invocation)).state is State.COMPLETE
    assert source.runs == 3


async def the_latest_complete(parts, invocation):
    """Wait until an invocation of the source is complete, and return it."""
    with anyio.fail_after(120):
        while not (found := await parts.store.invocations.list(invocation.source_id, state=State.COMPLETE)):  # noqa: ASYNC110 - a database
            await anyio.sleep(0.01)
    return found[0]


async def test_an_event_of_an_object_on_whose_text_servers_failed_is_tried_again(parts, fresh_name, monkeypatch):
    embed, failures = parts.embedder.embed, [PutOffError("servers keep failing on this text")]

    async def failing_once(texts, role, task=None, *, urgent=False):
        if role == "document" and failures:
            raise failures.pop()
        return await embed(texts, role, task, urgent=urgent)

    monkeypatch.setattr(parts.embedder, "embed", failing_once)
    record = await parts.store.sources.create("s3", "default_database", SETTINGS, MODEL, CHUNKING)
    target = Target("default_database", fresh_name)
    invocation = await parts.store.invocations.create(record.id, target, Origin.EVENT, OneObject("a.txt"))
    async with syncing(parts, Fixed(lambda _: document("Words.\n"))):
        invocation = await settled(parts, invocation)
    assert (invocation.state, invocation.counts.indexed, failures) == (State.COMPLETE, 1, [])


async def test_what_can_never_be_indexed_is_not_asked_for_again_before_it_changes(parts, fresh_name):
    broken = Document("a.bin", "1", NoBody(PermanentError("it is broken")), "a")
    source = Fixed(lambda _: broken)
    invocation = await created(parts, Origin.WATCH, fresh_name, settings=replace(KEPT, collection_name=fresh_name))
    async with syncing(parts, source):
        assert "nothing could be indexed" in (await settled(parts, invocation)).error
    assert [each.id for each in await parts.store.invocations.list(invocation.source_id)] == [invocation.id]
