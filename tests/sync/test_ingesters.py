"""Documents are tried again while that can help, fail alone, and are let go of when nobody wants them any more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO

import anyio
import pytest

from syncd.errors import OvertakenError, RetryableError
from syncd.model import Checkpoint, Document, DocumentState, Origin, State, Target, WholeSource
from syncd.pipeline.job import DocumentJob
from syncd.runtime.retry import Backoff
from syncd.store.marks import mark_of
from syncd.sync.deletes import DeleteGuard
from syncd.sync.ingesters import Ingesters
from syncd.sync.settings import SyncSettings
from tests.pipeline.parts import write
from tests.sync.syncing import FILES, HASTY, Fixed, Text, away, created, document, ended, settled, syncing


async def test_a_document_that_cannot_be_had_fails_alone_at_last(parts, fresh_name):
    source = Fixed(lambda _: document(RetryableError("half of it is missing")))
    invocation = await created(parts, Origin.SCHEDULE, fresh_name)
    # What is asked for again after that is another run, which is to come later than this looks.
    async with syncing(parts, source, settings=replace(HASTY, again=Backoff(60.0, random=lambda: 1.0))):
        invocation = await settled(parts, invocation)
    assert (invocation.state, source.runs) == (State.FAILED, HASTY.last_chance_attempt)
    assert "nothing could be indexed: 1 failed" in invocation.error
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


async def test_what_was_prepared_before_a_death_is_not_blamed_for_the_next(parts, tmp_path, fresh_name):
    write(tmp_path, {"a.py": FILES["a.py"]})
    target = Target("default_database", fresh_name)
    plan = (await parts.sync(tmp_path, target)).plan
    known = await parts.store.documents.get(plan.collection.id, plan.source.id, "a.py")
    mark = mark_of(plan.source.id, "a.py", known.version)
    await parts.store.marks.write({mark: True})
    async with parts.ingester.in_hand:
        assert (await parts.store.marks.record(mark)).deaths == 1
        await parts.sync(tmp_path, target)
    assert (await parts.store.marks.record(mark)).deaths == 0


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
        with anyio.fail_after(120):
            await body.begun.wait()
            await parts.store.invocations.cancel(invocation.id)
            syncer.wake()
            await body.left.wait()
    assert (await parts.store.invocations.get(invocation.id)).state is State.CANCELLED


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


class Body:
    @asynccontextmanager
    async def open(self):
        yield BytesIO(b"words")


async def test_what_waits_of_a_dropped_run_is_refused_and_other_runs_go_on(parts, tmp_path, fresh_name):
    record = await parts.source(tmp_path)
    target = Target("default_database", fresh_name)
    plans = []
    for _ in range(2):
        invocation = await parts.store.invocations.create(record.id, target, Origin.API, WholeSource())
        plans.append((await parts.begin(record, invocation, DeleteGuard())).plan)
    ingesters = Ingesters(parts.ingester, SyncSettings(ingesters=2, document_attempts=1))
    dropped, kept = [
        await ingesters.mailbox.put(DocumentJob(Document(f"{number}.txt", "1", Body(), "a"), plan))
        for number, plan in enumerate(plans)
    ]
    await ingesters.drop(plans[0])
    async with anyio.create_task_group() as group:
        ingesters.start(group)
        with pytest.raises(RetryableError, match="cancelled"):
            await dropped
        assert (await (await kept)).state is DocumentState.INDEXED
        group.cancel_scope.cancel()
