"""Which queues are read, with whose key, and that nobody disturbs anybody else's."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from syncd.errors import MisconfiguredError
from syncd.model import Chunking, Embedding, OneObject
from syncd.sources.objects.event_queue import PollerSettings
from syncd.sources.objects.queues import Queues
from syncd.sources.objects.transport import Transport
from syncd.sources.registry import TYPES
from syncd.sources.s3.factory import BucketFactory
from syncd.sources.s3.settings import S3Section
from syncd.store import Store
from tests.aws_servers import KEY, REGION, Aws, Fault, FaultyProxy
from tests.sources.s3.buckets import place

Q = "http://queues/q"


@pytest.fixture
async def buckets(tmp_path: Path) -> AsyncIterator[BucketFactory]:
    store = await Store.open(tmp_path, TYPES)
    opened = BucketFactory(store, Transport(), S3Section(queue_url="http://shared/queue"), lambda: None)
    yield opened
    await opened.__aexit__(None, None, None)
    await store.close()


async def add(buckets: BucketFactory, **settings: Any) -> str:
    """Make a source and return its id."""
    usual = {"bucket_name": "bucket", "region": REGION, "collection_name": "docs", "auto_sync": "direct"}
    record = await buckets._store.sources.create(
        "s3", "db", TYPES["s3"].codec.read(usual | settings), Embedding(), Chunking()
    )
    return record.id


async def until(come: Callable[[], bool]) -> None:
    """Poll what another process's server decides."""
    with anyio.fail_after(120):
        while not come():  # noqa: ASYNC110 - it is a number, not an event
            await anyio.sleep(0.02)


async def key(buckets: BucketFactory, name: str) -> int:
    secret = {"aws_access_key_id": name, "aws_secret_access_key": KEY.secret_access_key}
    return await buckets._store.credentials.add("db", "aws", secret)


async def test_a_queue_is_read_with_the_oldest_sources_key_first_and_at_its_own_host(buckets: BucketFactory):
    for name, elsewhere in (("FIRST", "http://minio:9000"), ("SECOND", "http://somebodys:9000")):
        credential = await key(buckets, name)
        await add(buckets, queue_url=Q, aws_credential_id=credential, endpoint_url=elsewhere)
    readers = (await buckets.followed.readers())[Q]
    assert [reader.key.key and reader.key.key.access_key_id for reader in readers] == ["FIRST", "SECOND"]
    assert {reader.key.url for reader in readers} == {"http://queues"}
    assert len(await buckets.followed.of_queue(Q)) == 2


async def test_sources_with_the_same_key_are_one_way_to_read(buckets: BucketFactory):
    ids = [await add(buckets, queue_url=Q, bucket_name=name) for name in ("one", "two")]
    (reader,) = (await buckets.followed.readers())[Q]
    assert list(reader.sources) == ids


async def test_only_sources_with_auto_sync_follow_a_queue_and_the_shared_one_serves_those_without(
    buckets: BucketFactory,
):
    await add(buckets, auto_sync="none", queue_url=Q)
    await add(buckets, auto_sync="metadata")
    assert list(await buckets.followed.readers()) == ["http://shared/queue"]


async def test_a_source_whose_key_is_missing_is_named_and_holds_nobody_up(buckets: BucketFactory):
    lost = await add(buckets, queue_url=Q, aws_credential_id=999)
    good = await add(buckets, queue_url=Q)
    (reader,) = (await buckets.followed.readers())[Q]
    assert list(reader.sources) == [good]
    assert [source.id for source in await buckets.followed.of_queue(Q)] == [lost, good]
    assert list(buckets.followed.unopened) == [lost]
    assert "credential" in buckets.followed.unopened[lost]


@pytest.mark.parametrize("object_key", ["a.txt", "a.meta.json"])
async def test_an_event_of_a_source_that_cannot_be_opened_is_journalled_and_its_bucket_asked_by_nobody(
    buckets: BucketFactory, object_key: str
):
    await add(buckets, queue_url=Q, aws_credential_id=999)
    (source,) = await buckets.followed.of_queue(Q)
    (invocation_id,) = await source.check(object_key)
    assert (await buckets._store.invocations.get(invocation_id)).request == OneObject(object_key)
    with pytest.raises(MisconfiguredError, match="credential"):
        await source.bucket.head(object_key)


async def test_settings_that_say_nothing_stop_nobody(buckets: BucketFactory):
    broken = await add(buckets, queue_url=Q)
    statement = """UPDATE sources SET settings = '{"bucket_name":"b"}' WHERE id = ?"""
    await buckets._store.database.write(lambda connection: connection.execute(statement, (broken,)))
    await add(buckets, queue_url=Q)
    await add(buckets, queue_url="no address")
    assert list(await buckets.followed.readers()) == [Q]
    assert "settings cannot be read" in buckets.followed.unopened[broken]


async def test_once_mended_a_source_is_blamed_no_more(buckets: BucketFactory):
    source_id = await add(buckets, queue_url=Q, aws_credential_id=999)
    await buckets.followed.readers()
    assert source_id in buckets.followed.unopened
    record = await buckets._store.sources.get(source_id)
    settings = replace(record.settings, aws_credential_id=await key(buckets, "A"))
    await buckets._store.sources.replace(record, "db", settings, Embedding(), Chunking())
    await buckets.followed.readers()
    assert not buckets.followed.unopened


def refusing(*key_ids: str) -> Fault:
    """Return the fault of a service that does not know some keys."""

    def fault(request: web.Request) -> str | None:
        credentials = request.headers.get("authorization", "")
        return "403 InvalidAccessKeyId" if any(f"Credential={it}/" in credentials for it in key_ids) else None

    return fault


async def test_a_poller_runs_for_every_queue_and_a_new_one_when_its_key_was_wrong(
    buckets: BucketFactory, ministack: Aws
):
    proxied = FaultyProxy(ministack.url, refusing("WRONG"))
    async with place(ministack, queue={}) as p, proxied.running():
        queue_url = p.queue_url.replace(ministack.url, proxied.url)
        source_id = await add(buckets, queue_url=queue_url, aws_credential_id=await key(buckets, "WRONG"))
        queues = Queues("queues", buckets.followed, PollerSettings())
        async with anyio.create_task_group() as group:
            await group.start(queues.run)
            await until(lambda: any(status["problem"] for status in queues.status()))
            assert list(queues.problems()) == [source_id]
            record = await buckets._store.sources.get(source_id)
            settings = replace(record.settings, aws_credential_id=await key(buckets, KEY.access_key_id))
            await buckets._store.sources.replace(record, "db", settings, Embedding(), Chunking())
            queues.sources_changed()
            await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody='{"Event": "s3:TestEvent"}')
            await until(lambda: [status["received"] for status in queues.status()] == [1])
            assert not queues.problems()
            await buckets._store.sources.delete(source_id)
            queues.sources_changed()
            await until(lambda: not queues.status())
            group.cancel_scope.cancel()


async def test_a_source_that_joins_a_queue_under_way_disturbs_nobody_and_steps_in_when_the_first_is_refused(
    buckets: BucketFactory, ministack: Aws
):
    refused: list[str] = []
    proxied = FaultyProxy(ministack.url, lambda request: refusing(*refused)(request))
    async with place(ministack, queue={}) as p, proxied.running():
        queue_url = p.queue_url.replace(ministack.url, proxied.url)
        first = await add(buckets, queue_url=queue_url, aws_credential_id=await key(buckets, "FIRST"))
        queues = Queues("queues", buckets.followed, PollerSettings())
        async with anyio.create_task_group() as group:
            await group.start(queues.run)
            for number, more in enumerate(("SECOND", "THIRD"), 1):
                await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody='{"Event": "s3:TestEvent"}')
                await until(lambda number=number: [it["received"] for it in queues.status()] == [number])
                await add(buckets, queue_url=queue_url, aws_credential_id=await key(buckets, more))
                queues.sources_changed()
            refused += ["FIRST", "SECOND"]
            await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody='{"Event": "s3:TestEvent"}')
            await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody='{"Event": "s3:TestEvent"}')
            await until(lambda: [it["deleted"] for it in queues.status()] == [4])
            await until(lambda: first in queues.problems())
            assert [it["problem"] for it in queues.status()] == [""]
            group.cancel_scope.cancel()
