"""What the Syncer does when a run cannot be finished now."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO

import anyio
import pytest

from syncd.errors import ConfigError, OvertakenError, RetryableError
from syncd.model import Checkpoint, Document, Invocation, Origin, SourceType, State, Target
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.parse.pool import ParserPool
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.posting import Poster
from syncd.runtime.retry import Backoff
from syncd.sync import Syncer, SyncSettings
from tests.pipeline.parts import CHUNKING, MODEL, InlineSplitter, running

HASTY = SyncSettings(run_attempts=3, document_attempts=2, last_chance_attempt=2, backoff=Backoff(0.001, cap_s=0.001))


class Text:
    """A body in memory, or the error that opening it raises."""

    def __init__(self, content: str | RetryableError) -> None:
        self.content = content

    @asynccontextmanager
    async def open(self):
        if isinstance(self.content, RetryableError):
            raise self.content
        yield BytesIO(self.content.encode())


def document(content: str | RetryableError, **values) -> Document:
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
async def syncing(parts, source) -> AsyncIterator[Syncer]:
    """Yield a running syncer, whose sources are all `source`."""

    async def embedder(_: str):
        return parts.embedder

    async def opened(_):
        return source

    async with ParserPool() as parser, anyio.create_task_group() as group:
        posted = Poster(parts.store, SparseModels()).posted
        ingester = Ingester(parts.store, parts.index, lambda _source: parser, InlineSplitter(), embedder, posted)
        syncer = Syncer(parts.store, parts.chroma, parts.index, ingester, opened, HASTY)
        await group.start(syncer.run)
        yield syncer
        group.cancel_scope.cancel()


async def created(parts, origin: Origin, name: str) -> Invocation:
    """Create a source and an invocation of it."""
    record = await parts.store.sources.create(SourceType.S3, "default_database", {}, MODEL, CHUNKING)
    return await parts.store.invocations.create(record.id, Target("default_database", name), origin, {})


async def ended(parts, source: Fixed, origin: Origin, name: str) -> Invocation:
    """Serve the source's one invocation until it has settled, and return it."""
    invocation = await created(parts, origin, name)
    async with syncing(parts, source):
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
