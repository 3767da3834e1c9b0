"""Events from real notifications, and messages made by hand, through a real queue."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from syncd.runtime.retry import Backoff
from syncd.sources.s3.settings import AutoSync
from syncd.sources.s3.source import BucketSource
from tests.aws_servers import Aws
from tests.sources.s3.buckets import Place, place
from tests.sources.s3.syncing import Daemon, daemon_on, poller_of, working
from tests.sources.s3.test_events import eventbridge, record, sns
from tests.sources.s3.test_source import meta


async def test_what_happens_in_the_bucket_happens_in_the_index(aws: Aws, tmp_path: Path):
    async with place(aws, events=True) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("once.txt", "written once")
        await p.put("a b+ü/ä.txt", "odd")
        await p.put("twice.txt", "one")
        await p.put("twice.txt", "two")
        await p.put("gone.txt", "gone")
        await p.delete("gone.txt")
        await p.put("old name.txt", "renamed")
        await p.s3.copy_object(
            Bucket=p.bucket, Key="new name.txt", CopySource={"Bucket": p.bucket, "Key": "old name.txt"}
        )
        await p.delete("old name.txt")
        await work.until_quiet()
        assert await daemon.texts() == await p.contents()
        assert len(await daemon.documents()) == 4
        await p.delete("twice.txt")
        await work.until_quiet()
        assert await daemon.texts() == await p.contents()


async def test_tenants_of_one_bucket_see_only_their_prefix(aws: Aws, tmp_path: Path):
    async with place(aws, events=True) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        for tenant in ("a", "b"):
            await daemon.add(
                p.settings(auto_sync=AutoSync.DIRECT, path_prefix=f"{tenant}/", collection=f"tenant-{tenant}")
            )
        for key in ("a/1", "b/1", "b/2", "c/1", "ab/1"):
            await p.put(key, key)
        await work.until_quiet()
        assert await daemon.texts("tenant-a") == await p.contents("a/")
        assert await daemon.texts("tenant-b") == await p.contents("b/")
        assert daemon.collections == {"tenant-a", "tenant-b"}


async def indexed(daemon: Daemon) -> dict[str, bytes | str]:
    """Return the texts of the documents that are indexed, by key."""
    return {key: text for key, text in (await daemon.texts()).items() if isinstance(text, bytes)}


async def test_in_metadata_mode_only_metadata_files_speak(aws: Aws, tmp_path: Path):
    async with place(aws, events=True) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        await daemon.add(p.settings(auto_sync=AutoSync.METADATA))
        await p.put("a.txt", "alpha")
        await p.put("x.meta.json", meta("a.txt", "doc-a", target_collection_name="tenant", metadata={"n": 1}))
        await p.put("early.meta.json", meta("late.txt", "doc-late"))
        await p.put("unspoken.txt", "no")
        await work.until_quiet()
        assert await daemon.texts("tenant") == {"a.txt": b"alpha"}
        early = (await daemon.texts()).pop("early.meta.json")
        assert "names 'late.txt'" in str(early)
        await p.put("late.txt", "arrived")
        await p.put("a.txt", "changed")
        await work.until_quiet()
        assert await indexed(daemon) == {"late.txt": b"arrived"}
        assert (await daemon.documents())["late.txt"].prefix == "doc-late"
        assert await daemon.texts("tenant") == {"a.txt": b"changed"}
        await p.put("x.meta.json", meta("a.txt", "doc-b"))
        await p.delete("early.meta.json")
        await work.until_quiet()
        assert await daemon.texts("tenant") == {}
        found = await daemon.documents()
        assert {key: found[key].prefix for key in await indexed(daemon)} == {"a.txt": "doc-b"}
        await p.delete("a.txt")
        await work.until_quiet()
        assert await indexed(daemon) == {}


async def test_in_direct_mode_a_metadata_file_speaks_of_its_object(aws: Aws, tmp_path: Path):
    async with place(aws, events=True) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await p.put("b.txt", "beta")
        await p.put("x.meta.json", meta("a.txt", "doc-a", target_collection_name="tenant"))
        await work.until_quiet()
        assert await daemon.texts() == {"b.txt": b"beta"}
        assert await daemon.texts("tenant") == {"a.txt": b"alpha"}
        await p.delete("x.meta.json")
        await work.until_quiet()
        assert await daemon.texts() == {"a.txt": b"alpha", "b.txt": b"beta"}
        assert await daemon.texts("tenant") == {}


async def test_a_broken_metadata_file_fails_an_invocation_with_the_reason(ministack: Aws, tmp_path: Path):
    async with place(ministack, events=True) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        source = await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("x.meta.json", "{}")
        await work.until_quiet()
        found = await daemon.invocations.latest_by_keys(source.id, ["x.meta.json"])
        assert "must be" in str(found["x.meta.json"].error)
        assert await p.waiting() == 0


@pytest.mark.parametrize("shape", ["s3", "sns", "eventbridge"])
async def test_every_shape_is_understood(aws: Aws, tmp_path: Path, shape: str):
    async with place(aws, queue={}) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a b.txt", "alpha")
        entry = of_bucket(p.bucket, "a+b.txt")
        bodies = {
            "s3": json.dumps({"Records": [entry]}),
            "sns": sns({"Records": [entry]}),
            "eventbridge": json.dumps(eventbridge(bucket={"name": p.bucket}, object={"key": "a b.txt"})),
        }
        for body in (bodies[shape], json.dumps({"Event": "s3:TestEvent", "Bucket": p.bucket})):
            await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody=body)
        await work.until_quiet()
        assert await daemon.texts() == {"a b.txt": b"alpha"}


async def test_a_bucket_that_no_source_names_is_never_read(aws: Aws, tmp_path: Path):
    async with (
        place(aws, queue={}) as p,
        place(aws) as foreign,
        daemon_on(tmp_path) as daemon,
        working(daemon, p) as work,
    ):
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await foreign.put("secret.txt", "secret")
        await send(p, of_bucket(foreign.bucket, "secret.txt"))
        await work.until_quiet()
        assert daemon.collections == set()
        assert work.poller.stats.ignored == 1


@pytest.mark.parametrize("error", [TypeError("odd"), ExceptionGroup("of tasks", [ValueError("odd")])])
async def test_a_message_whose_handling_meets_a_bug_is_poison_and_the_others_go_on(
    ministack: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    check = BucketSource.check

    async def with_a_bug(self: BucketSource, key: str) -> Sequence[str]:
        if key == "odd.txt":
            raise error
        return await check(self, key)

    monkeypatch.setattr(BucketSource, "check", with_a_bug)
    async with place(ministack, queue={}) as p, daemon_on(tmp_path) as daemon:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        async with working(daemon, p, max_receives=1) as work:
            work.poller._backoff = Backoff(0.001, cap_s=0.001)
            await send(p, of_bucket(p.bucket, "odd.txt"))
            await send(p, of_bucket(p.bucket, "a.txt"))
            await work.until_quiet()
        assert await daemon.texts() == {"a.txt": b"alpha"}
        (letter,) = await daemon.dead_letters.list()
        assert "report it" in letter.reason
        assert "odd.txt" in letter.body


async def test_a_message_stays_until_its_work_is_settled(aws: Aws, tmp_path: Path):
    async with place(aws, queue={}) as p, daemon_on(tmp_path) as daemon:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await send(p, of_bucket(p.bucket, "a.txt"))
        poller = poller_of(daemon, p)
        async with anyio.create_task_group() as group:
            await group.start(poller.run)
            with anyio.fail_after(120):
                while not await daemon.invocations.due(1):  # noqa: ASYNC110 - it waits in a database
                    await anyio.sleep(0.05)
            assert (await p.waiting(), poller.stats.deleted) == (1, 0)
            await daemon.run_due()
            with anyio.fail_after(120):
                while await p.waiting():  # noqa: ASYNC110 - another process's queue
                    await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_the_heartbeat_keeps_a_message_hidden_while_its_work_takes_long(ministack: Aws, tmp_path: Path):
    async with place(ministack, queue={}) as p, daemon_on(tmp_path) as daemon:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await send(p, of_bucket(p.bucket, "a.txt"))
        poller = poller_of(daemon, p, visibility_s=1)
        extended, enough = 0, anyio.Event()

        async def count_extensions(*_: Any, **__: Any) -> None:
            nonlocal extended
            extended += 1
            if extended == 6:
                enough.set()

        async with anyio.create_task_group() as group:
            await group.start(poller.run)
            client = await poller._queue.connection.ready("")
            client.meta.events.register("after-call.sqs.ChangeMessageVisibilityBatch", count_extensions)
            with anyio.fail_after(120):
                await enough.wait()
            assert poller.stats.received == 1
            group.cancel_scope.cancel()


async def test_a_long_wait_is_handed_over_to_the_journal(ministack: Aws, tmp_path: Path):
    async with place(ministack, queue={}) as p, daemon_on(tmp_path) as daemon:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await send(p, of_bucket(p.bucket, "a.txt"))
        async with anyio.create_task_group() as group:
            await group.start(poller_of(daemon, p, hand_over_s=0.0).run)
            with anyio.fail_after(120):
                while await p.waiting():  # noqa: ASYNC110 - another process's queue
                    await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        await daemon.run_due()
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_a_repeated_event_is_known_again_by_its_sequencer(ministack: Aws, tmp_path: Path):
    async with place(ministack, queue={}) as p, daemon_on(tmp_path) as daemon, working(daemon, p) as work:
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await send(p, of_bucket(p.bucket, "a.txt"))
        await work.until_quiet()
        await send(p, of_bucket(p.bucket, "a.txt"))
        await send(p, of_bucket(p.bucket, "a.txt", sequencer="0055AED6DCD90281E6"))
        await work.until_quiet()
        assert work.poller.stats.duplicates == 1
        assert len(await daemon.invocations.list()) == 2


async def test_a_queue_that_is_not_there_is_waited_for(ministack: Aws, tmp_path: Path):
    async with place(ministack, queue={}) as p, daemon_on(tmp_path) as daemon:
        await p.sqs.delete_queue(QueueUrl=p.queue_url)
        poller = poller_of(daemon, p)
        async with anyio.create_task_group() as group:
            await group.start(poller.run)
            with anyio.fail_after(120):
                while not poller.stats.problem:  # noqa: ASYNC110 - it is a sentence, not an event
                    await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        assert "does not exist" in poller.stats.problem


def of_bucket(bucket: str, key: str, sequencer: str = "0055AED6DCD90281E5") -> dict[str, Any]:
    entry = record(key=key)
    entry["s3"]["bucket"]["name"] = bucket
    entry["s3"]["object"]["sequencer"] = sequencer
    return entry


async def send(place: Place, *entries: dict[str, Any]) -> None:
    await place.sqs.send_message(QueueUrl=place.queue_url, MessageBody=json.dumps({"Records": entries}))
