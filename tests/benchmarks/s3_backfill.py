"""How much the S3 source adds to a bare list-and-get loop, and what a backfill costs when nothing has changed.

    python -m tests.benchmarks.s3_backfill [--objects 10000] [--concurrency 16] [--server ministack]

Both read every object of a bucket on a server on this machine, with the same client settings and concurrency; the source
goes through versions, placement, labels, checkpoints and spooled files to a stub that takes the place of the model.
CPU seconds are this process's own, without the server's.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from syncd.model import (
    Checkpoint,
    Chunking,
    Document,
    Embedding,
    Invocation,
    Origin,
    Run,
    State,
    Target,
    WholeSource,
)
from syncd.runtime.keylocks import KeyLocks
from syncd.sources.objects.event_store import CheckQueue
from syncd.sources.objects.journal import Journal
from syncd.sources.objects.transport import Transport
from syncd.sources.registry import TYPES
from syncd.sources.s3.client import Connections
from syncd.sources.s3.label_store import Labels
from syncd.sources.s3.settings import S3Settings, S3SourceSettings
from syncd.sources.s3.source import BucketSource, S3Sources
from syncd.store.database import Database
from syncd.store.sources import Sources
from tests.aws_servers import Aws, served

OBJECT_SIZE_BYTES = 1200


@dataclass
class Cost:
    """What one pass over the bucket cost."""

    name: str
    objects: int
    downloads: int
    wall_s: float
    cpu_s: float
    peak_rss_growth_mb: float

    def line(self) -> str:
        pace = self.objects / self.wall_s
        return (
            f"{self.name:34} {self.objects:7} objects {self.downloads:7} downloads {self.wall_s:7.2f} s "
            f"{pace:7.0f}/s {self.cpu_s:6.2f} CPU s, RSS +{self.peak_rss_growth_mb:.1f} MB"
        )


async def measured(name: str, work: Callable[[], Awaitable[tuple[int, int]]]) -> Cost:
    """Return what `work` cost, which returns the objects it met and those it downloaded."""
    process, peak = psutil.Process(), 0
    before_rss = process.memory_info().rss

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(0.1)

    watcher = asyncio.create_task(watch())
    wall, usage = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    objects, downloads = await work()
    now = resource.getrusage(resource.RUSAGE_SELF)
    watcher.cancel()
    cpu_s = now.ru_utime + now.ru_stime - usage.ru_utime - usage.ru_stime
    growth_mb = max(peak, process.memory_info().rss) / 2**20 - before_rss / 2**20
    cost = Cost(name, objects, downloads, time.perf_counter() - wall, cpu_s, growth_mb)
    print(cost.line(), flush=True)
    return cost


async def workers(
    count: int, queue: asyncio.Queue[Any], handle: Callable[[Any], Awaitable[None]]
) -> list[asyncio.Task[None]]:
    async def work() -> None:
        while (item := await queue.get()) is not None:
            await handle(item)

    return [asyncio.create_task(work()) for _ in range(count)]


async def bare(connections: Connections, source: BucketSource, concurrency: int) -> tuple[int, int]:
    """List and get with nothing but the client."""
    client: Any = await connections.s3(source.settings.endpoint).ready("")
    queue: asyncio.Queue[str | None] = asyncio.Queue(2 * concurrency)
    done = 0

    async def get(key: str) -> None:
        nonlocal done
        answer = await client.get_object(Bucket=source.settings.bucket, Key=key)
        async with answer["Body"] as body:
            await body.read()
        done += 1

    tasks = await workers(concurrency, queue, get)
    async for page in client.get_paginator("list_objects_v2").paginate(Bucket=source.settings.bucket):
        for item in page.get("Contents", ()):
            await queue.put(item["Key"])
    for _ in tasks:
        await queue.put(None)
    await asyncio.gather(*tasks)
    return done, done


class Stub:
    """Takes the place of everything behind the source: knows versions, opens what is new, reads it."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.downloads = 0

    async def version(self, key: str) -> str | None:
        return self.versions.get(key)

    async def keys(self) -> AsyncIterator[str]:
        for key in sorted(self.versions):
            yield key

    async def take(self, document: Document) -> None:
        if self.versions.get(document.key) == document.version or document.body is None:
            return
        async with document.body.open() as file:
            file.read()
        self.downloads += 1
        self.versions[document.key] = document.version

    async def backfill(self, source: BucketSource, concurrency: int) -> tuple[int, int]:
        now = datetime.now(UTC)
        invocation = Invocation(
            str(now), source.id, Target("db", "docs"), Origin.BACKFILL, WholeSource(), State.PROCESSING, now
        )
        queue: asyncio.Queue[Document | None] = asyncio.Queue(2 * concurrency)
        tasks = await workers(concurrency, queue, self.take)
        met, before = 0, self.downloads
        async for item in source.changes(Run(invocation, None, self)):
            if isinstance(item, Checkpoint):
                continue
            met += 1
            await queue.put(item)
        for _ in tasks:
            await queue.put(None)
        await asyncio.gather(*tasks)
        return met, self.downloads - before


async def fill(aws: Aws, bucket: str, objects: int) -> None:
    async with aws.client("s3") as client:
        await client.create_bucket(Bucket=bucket)
        queue: asyncio.Queue[int | None] = asyncio.Queue(64)

        async def put(number: int) -> None:
            body = f"object {number} ".encode() * (OBJECT_SIZE_BYTES // 12)
            await client.put_object(Bucket=bucket, Key=f"docs/{number % 100:02}/{number:06}.txt", Body=body)

        tasks = await workers(16, queue, put)
        for number in range(objects):
            await queue.put(number)
        for _ in tasks:
            await queue.put(None)
        await asyncio.gather(*tasks)


async def main(aws: Aws, objects: int, concurrency: int, folder: Path) -> list[Cost]:
    connections = Connections(Transport(downloads=concurrency))
    database = await Database.open(folder / "syncd.sqlite", TYPES.migrations)
    sources = S3Sources(connections, Labels(database), Journal(CheckQueue(database), lambda: None), KeyLocks())
    record = await Sources(database, TYPES).create(
        "s3", "db", S3SourceSettings(bucket_name="bucket", region="r"), Embedding(), Chunking()
    )
    costs: list[Cost] = []
    for count in (objects // 5, objects):
        bucket = f"bench-{count}"
        await fill(aws, bucket, count)
        source = sources.open(record.id, S3Settings(bucket, aws.endpoint(), "docs"))
        stub = Stub()
        if not costs:
            await measured("(warming up)", lambda s=source: bare(connections, s, concurrency))
        costs.append(await measured("bare list and get", lambda s=source: bare(connections, s, concurrency)))
        costs.append(await measured("backfill", lambda s=source, t=stub: t.backfill(s, concurrency)))
        costs.append(await measured("backfill, nothing changed", lambda s=source, t=stub: t.backfill(s, concurrency)))
    first, second, loop = costs[-2], costs[-1], costs[-3]
    print(
        f"backfill against the bare loop: {loop.wall_s / first.wall_s:.2f} of its pace, {first.cpu_s / loop.cpu_s:.2f} x its CPU"
    )
    print(
        f"nothing changed: {second.wall_s / first.wall_s:.1%} of the first's time, {second.cpu_s / first.cpu_s:.1%} of its CPU, "
        f"{second.downloads} downloads"
    )
    await connections.close()
    await database.close()
    return costs


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--server", choices=["ministack", "moto"], default="ministack")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for server in served(given.server, Path(name)):
            results = asyncio.run(main(server, given.objects, given.concurrency, Path(name)))
    print(json.dumps([asdict(cost) for cost in results]))
