"""What becomes of messages that cannot be worked off: poison is put away with its reason, all else is kept."""

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from syncd.errors import RetryableError
from syncd.sources.s3.settings import AutoSync
from tests.aws_servers import Aws, FaultyProxy
from tests.sources.s3.buckets import FAST, Place, place
from tests.sources.s3.syncing import daemon_on, working
from tests.sources.s3.test_poller import of_bucket, send
from tests.sources.s3.test_source import meta


async def test_a_poison_message_ends_in_the_dead_letter_queue_and_its_reason_is_kept(aws: Aws, tmp_path: Path):
    async with (
        place(aws, queue={}) as dead,
        place(aws, queue=redriving(dead)) as p,
        daemon_on(tmp_path) as daemon,
        working(daemon, p) as work,
    ):
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody="no JSON")
        await p.put("a.txt", "alpha")
        await send(p, of_bucket(p.bucket, "a.txt"))
        await work.until_quiet()
        assert await dead.waiting() == 1
        letters = await daemon.dead_letters.list()
        assert [(letter.body, letter.receives) for letter in letters] == [("no JSON", 2)]
        assert await daemon.texts() == {"a.txt": b"alpha"}


async def test_trouble_that_passes_makes_no_dead_letter_however_long_it_takes(ministack: Aws, tmp_path: Path):
    asked = 0

    def away_at_first(request: web.Request) -> str | None:
        nonlocal asked
        if not request.path.endswith(".meta.json"):
            return None
        asked += 1
        return "500 InternalError" if asked <= 4 * FAST.attempts else None

    proxied = FaultyProxy(ministack.url, away_at_first)
    async with (
        place(ministack, queue={}) as dead,
        place(ministack, queue=redriving(dead)) as p,
        daemon_on(tmp_path) as daemon,
        proxied.running() as proxy,
        working(daemon, p) as work,
    ):
        await daemon.add(p.settings(proxy.url, auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await p.put("x.meta.json", meta("a.txt", "doc-1"))
        await send(p, of_bucket(p.bucket, "x.meta.json"))
        await work.until_quiet()
        assert (await daemon.documents())["a.txt"].prefix == "doc-1"
        assert work.poller.stats.received == 1
        assert (await dead.waiting(), await daemon.dead_letters.list()) == (0, [])


async def test_a_message_stays_in_hand_while_its_sources_cannot_be_opened(ministack: Aws, tmp_path: Path):
    async with (
        place(ministack, queue={}) as dead,
        place(ministack, queue=redriving(dead)) as p,
        daemon_on(tmp_path) as daemon,
    ):
        await daemon.add(p.settings(auto_sync=AutoSync.DIRECT))
        await p.put("a.txt", "alpha")
        await send(p, of_bucket(p.bucket, "a.txt"))
        opened, left = daemon.factory.followed.of_queue, 5

        async def at_last(queue_url: str) -> Any:
            nonlocal left
            left -= 1
            if left:
                raise RetryableError("not yet")
            return await opened(queue_url)

        daemon.factory.followed.of_queue = at_last  # type: ignore[method-assign]
        async with working(daemon, p) as work:
            await work.until_quiet()
        assert await daemon.texts() == {"a.txt": b"alpha"}
        assert (work.poller.stats.received, work.poller.stats.postponed) == (1, 4)
        assert await dead.waiting() == 0


async def test_without_a_dead_letter_queue_poison_is_deleted_at_last(ministack: Aws, tmp_path: Path):
    async with (
        place(ministack, queue={}) as p,
        daemon_on(tmp_path) as daemon,
        working(daemon, p, max_receives=3) as work,
    ):
        await p.sqs.send_message(QueueUrl=p.queue_url, MessageBody="{}")
        await work.until_quiet()
        assert [letter.receives for letter in await daemon.dead_letters.list()] == [3]


def redriving(dead: Place) -> dict[str, str]:
    return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.queue_arn, "maxReceiveCount": "2"})}
