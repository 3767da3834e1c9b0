"""What the ingesters do with documents of runs that nobody wants any more."""

from contextlib import asynccontextmanager
from io import BytesIO

import anyio
import pytest

from syncd.errors import RetryableError
from syncd.model import Document, DocumentState, Origin, Target, WholeSource
from syncd.pipeline.job import DocumentJob
from syncd.sync.deletes import DeleteGuard
from syncd.sync.ingesters import Ingesters
from tests.models import in_its_own_task
from tests.pipeline.parts import running


class Body:
    @asynccontextmanager
    async def open(self):
        yield BytesIO(b"words")


@pytest.fixture
async def parts(tmp_path, chroma_server):
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as opened:
        yield opened


async def test_what_waits_of_a_dropped_run_is_refused_and_other_runs_go_on(parts, tmp_path, fresh_name):
    record = await parts.source(tmp_path)
    target = Target("default_database", fresh_name)
    plans = []
    for _ in range(2):
        invocation = await parts.store.invocations.create(record.id, target, Origin.API, WholeSource())
        plans.append((await parts.begin(record, invocation, DeleteGuard())).plan)
    ingesters = Ingesters(parts.ingester, 2, 1)
    dropped, kept = [
        await ingesters.mailbox.put(DocumentJob(Document(f"{number}.txt", "1", Body(), "a"), plan))
        for number, plan in enumerate(plans)
    ]
    ingesters.drop(plans[0])
    async with anyio.create_task_group() as group:
        ingesters.start(group)
        with pytest.raises(RetryableError, match="cancelled"):
            await dropped
        assert (await kept).state is DocumentState.INDEXED
        group.cancel_scope.cancel()
