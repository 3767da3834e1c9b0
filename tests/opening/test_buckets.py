"""Which queues are read, with whose key, and that nobody disturbs anybody else's."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from syncd.errors import RetryableError
from syncd.model import Chunking, Embedding, SourceType
from syncd.opening.buckets import Buckets, QueueRules, Queues
from syncd.sources.s3.settings import Transport
from syncd.store import Store
from tests.aws_servers import KEY, REGION, Aws
from tests.sources.s3.syncing import place

ELSEWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def buckets(tmp_path: Path) -> AsyncIterator[Buckets]:
    store = await Store.open(tmp_path)
    opened = Buckets(store, Transport(), QueueRules("http://shared/queue"))
    yield opened
    await opened.close()
    await store.close()


async def add(buckets: Buckets, **settings: Any) -> str:
    """Make a source and return its id."""
    usual = {"bucket_name": "bucket", "region": REGION, "collection_name": "docs", "auto_sync": "direct"}
    record = await buckets._store.sources.create(SourceType.S3, "db", usual | settings, Embedding(), Chunking())
    return record.id


async def until(come: Callable[[], bool]) -> None:
    """Poll what another process's server decides."""
    with anyio.fail_after(30):
        while not come():  # noqa: ASYNC110 - it is a number, not an event
            await anyio.sleep(0.02)


async def key(buckets: Buckets, name: str) -> int:
    secret = {"aws_access_key_id": name, "aws_secret_access_key": KEY.secret_access_key}
    return await buckets._store.credentials.add("db", "aws", secret)


async def test_a_queue_is_read_as_the_oldest_of_its_sources_says(buckets: Buckets):
    for name in ("FIRST", "SECOND"):
        await add(buckets, queue_url="q", aws_credential_id=await key(buckets, name))
    (endpoint,) = (await buckets.readers()).values()
    assert endpoint.key is not None
    assert endpoint.key.access_key_id == "FIRST"
    assert len(await buckets.of_queue("q")) == 2


async def test_only_sources_with_auto_sync_follow_a_queue_and_the_shared_one_serves_those_without(buckets: Buckets):
    await add(buckets, auto_sync="none", queue_url="q")
    await add(buckets, auto_sync="metadata")
    assert list(await buckets.readers()) == ["http://shared/queue"]


async def test_a_source_whose_key_is_missing_holds_up_its_own_queue_only(buckets: Buckets):
    await add(buckets, queue_url="lost", aws_credential_id=999)
    await add(buckets, queue_url="good")
    assert list(await buckets.readers()) == ["good"]
    assert len(await buckets.of_queue("good")) == 1
    with pytest.raises(RetryableError, match="cannot be opened"):
        await buckets.of_queue("lost")


async def test_a_poller_runs_for_every_queue_and_a_new_one_when_it_is_reached_in_another_way(
    buckets: Buckets, ministack: Aws
):
    async with place(ministack, queue={}) as p:
        there = {"queue_url": p.queue_url, "endpoint_url": ELSEWHERE, "path_style": True}
        credential = await key(buckets, KEY.access_key_id)
        source_id = await add(buckets, **there, aws_credential_id=credential)
        queues = Queues(buckets)
        async with anyio.create_task_group() as group:
            await group.start(queues.run)
            await until(lambda: any(status["problem"] for status in queues.status()))
            settings = (await buckets._store.sources.get(source_id)).settings | {"endpoint_url": ministack.url}
            await buckets._store.sources.replace(source_id, "db", settings, Embedding(), Chunking())
            queues.sources_changed()
            await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody='{"Event": "s3:TestEvent"}')
            await until(lambda: [status["received"] for status in queues.status()] == [1])
            await buckets._store.sources.delete(source_id)
            queues.sources_changed()
            await until(lambda: not queues.status())
            group.cancel_scope.cancel()
