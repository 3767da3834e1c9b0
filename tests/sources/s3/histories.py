"""Random histories of a bucket, events that tell of them badly, and what the index should be in the end."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio
from aiohttp import web

from syncd.model import Origin, Target, chunk_prefix
from syncd.sources.objects.poller import QueuePoller
from syncd.sources.s3.client import Connections
from syncd.sources.s3.settings import AutoSync, S3Settings
from tests.aws_servers import Aws, Fault, FaultyProxy
from tests.memory_target import MemoryTarget
from tests.sources.s3.buckets import FAST, Place, place
from tests.sources.s3.syncing import DB, Daemon, daemon_on, working
from tests.sources.s3.test_events import eventbridge, record, sns

PREFIX = "in/"
ONCE = [f"in/once {n}.txt" for n in range(6)]
HOT = [f"in/hot+{n}.txt" for n in range(5)] + ["out/side.txt"]
FILES = ["in/x.meta.json", "in/deep/y.meta.json"]
FAULTS = ["500 InternalError", "503 SlowDown", "400 ExpiredToken", "reset", "cut", "slow"]

State = dict[str, dict[str, tuple[str, bytes]]]
"""Collection → key → (chunk prefix, content)."""


@dataclass
class History:
    """One bucket's life, told by events that are repeated, reordered, late or (with `drops`) missing."""

    seed: int
    drops: bool = False
    auto_sync: AutoSync = AutoSync.DIRECT
    kills: int = 1
    fault_share: float = 0.1
    backwards: bool = False
    """Everything is told at the end, the last thing first."""
    tenant: str = "tenant"
    """The collection that some metadata files name."""
    once: Sequence[str] = tuple(ONCE)
    """Half of all keys, written exactly once: nothing heals a loss there."""
    hot: Sequence[str] = tuple(HOT)
    hot_steps: int = 12
    sent: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    suffered: Counter[str] = field(default_factory=Counter)
    """Faults of the line, by kind."""
    sequencer: int = 0x55AED6DCD9028000

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def fault(self, request: web.Request) -> str | None:
        if request.method not in ("GET", "HEAD") or self.random.random() > self.fault_share:
            return None
        # In turn, so that a few histories suffer them all however many requests each happens to make.
        fault = FAULTS[(self.seed + self.suffered.total()) % len(FAULTS)]
        self.suffered[fault] += 1
        return fault

    def steps(self) -> list[tuple[str, str]]:
        """Return what will be done to which key."""
        steps = [("put", key) for key in self.once]
        actions = ["put", "put", "delete", "rename"]
        steps += [(self.random.choice(actions), self.random.choice(self.hot)) for _ in range(self.hot_steps)]
        steps += [(self.random.choice(["put", "put", "delete"]), self.random.choice(FILES)) for _ in range(4)]
        self.random.shuffle(steps)
        return steps

    async def happen(self, place: Place, steps: Sequence[tuple[str, str]], *, is_last: bool = True) -> None:
        """Do this to the bucket and tell of it; what is told late may be told by a later call."""
        for action, key in steps:
            for told, kind in await self.step(place, action, key):
                self.untold += self.told(place, told, kind)
            if self.random.random() < 0.3 and not self.backwards:
                await self.send(place)
        await self.send(place, is_last=is_last)

    async def step(self, place: Place, action: str, key: str) -> list[tuple[str, str]]:
        """Do one thing and return the events that S3 would make of it."""
        if action == "delete":
            await place.delete(key)
            return [(key, "ObjectRemoved:Delete")]
        if action == "rename":
            other = self.random.choice(self.hot)
            await place.put(other, self.body(other))
            await place.delete(key)
            return [(other, "ObjectCreated:Copy"), (key, "ObjectRemoved:Delete")]
        await place.put(key, self.body(key))
        return [(key, "ObjectCreated:Put")]

    def body(self, key: str) -> bytes:
        if key not in FILES:
            return self.random.randbytes(self.random.choice([0, 10, 3000])).hex().encode()
        path = self.random.choice([*self.once[:2], *self.hot])
        target = self.random.choice([{}, {"target_collection_name": self.tenant}])
        version = self.random.choice(["chroma-v1"] * 5 + ["broken"])
        return json.dumps({"version": version, "id": f"id of {key}", "path": path, **target}).encode()

    def told(self, place: Place, key: str, kind: str) -> list[str]:
        """Return the messages about one event: none, one or several, of any shape."""
        self.sequencer += 1
        entry = record(kind, key.replace("+", "%2B").replace(" ", "+"))
        entry["s3"]["bucket"]["name"] = place.bucket
        entry["s3"]["object"]["sequencer"] = f"{self.sequencer:018X}" if self.random.random() < 0.9 else ""
        created = kind.startswith("ObjectCreated")
        bridged = eventbridge("Object Created" if created else "Object Deleted", bucket={"name": place.bucket})
        bridged["detail"]["object"] = {"key": key}
        body = self.random.choice([json.dumps({"Records": [entry]}), sns({"Records": [entry]}), json.dumps(bridged)])
        share = self.random.random()
        if share < 0.15:
            return [body, body]
        return [] if self.drops and share > 0.8 else [body]

    async def send(self, place: Place, *, is_last: bool = False) -> None:
        """Send what there is so far out of order, some of it later."""
        if self.backwards:
            self.untold.reverse()
        else:
            self.random.shuffle(self.untold)
        late = 0 if is_last else len(self.untold) // 3
        messages, self.untold = self.untold[late:], self.untold[:late]
        self.sent += messages
        for i in range(0, len(messages), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(messages[i : i + 10])]
            await place.sqs.send_message_batch(QueueUrl=place.queue_url, Entries=entries)


async def expected(place: Place, settings: S3Settings, tenant: str = "tenant") -> State:
    """Return f(bucket), reckoned from nothing but what the bucket holds in the end."""
    state: State = {settings.collection: {}, tenant: {}}
    objects = await place.contents(PREFIX)
    listed = (await place.s3.list_objects_v2(Bucket=place.bucket, Prefix=PREFIX)).get("Contents", [])
    when = {item["Key"]: item["LastModified"] for item in listed}
    files = {key: json.loads(objects.pop(key)) for key in FILES if key in objects}
    spoken: set[str] = set()
    for _, key in sorted((when[key].replace(microsecond=0), key) for key in files):
        said = files[key]
        if said["version"] == "chroma-v1" and said["path"].startswith(PREFIX):
            spoken.add(said["path"])
            if said["path"] in objects:
                collection = said.get("target_collection_name", settings.collection)
                state[collection][said["path"]] = (said["id"], objects[said["path"]])
    if settings.auto_sync is AutoSync.DIRECT:
        plain = {key: (chunk_prefix(key), body) for key, body in objects.items() if key not in spoken}
        state[settings.collection] |= plain
    return state


async def indexed(daemon: Daemon, settings: S3Settings) -> State:
    """Return what is indexed as `expected` writes it."""
    return {
        collection: {
            key: (document.prefix, document.content)
            for key, document in (await daemon.documents(collection)).items()
            if not str(document.content).startswith("failed: metadata")
        }
        for collection in {settings.collection, "tenant", *daemon.collections}
    }


@dataclass
class Outcome:
    """How a history ended."""

    history: History
    expected: State
    indexed: State
    after_reconcile: State
    made: list[str]
    dead: int


@dataclass(frozen=True)
class World:
    """What many histories can share."""

    aws: Aws
    clients: tuple[Any, Any]
    connections: Connections
    proxy: FaultyProxy
    lines: dict[str, Fault] = field(default_factory=dict)
    """What goes wrong on the way to a bucket, by its name."""

    def fault(self, request: web.Request) -> str | None:
        """Name what goes wrong with a request, or None."""
        line = self.lines.get(request.path.split("/")[1])
        return line(request) if line else None


@asynccontextmanager
async def world(aws: Aws) -> AsyncIterator[World]:
    connections, proxy = Connections(FAST), FaultyProxy(aws.url)
    async with aws.client("s3") as s3, aws.client("sqs") as sqs, proxy.running():
        made = World(aws, (s3, sqs), connections, proxy)
        proxy.fault = made.fault
        yield made
        await connections.close()


async def live_through(
    history: History, world: World, folder: Path, poller: type[QueuePoller] = QueuePoller, kill_at: float = 0.5
) -> Outcome:
    """Let a history happen to a daemon that is killed `kills` times, then reconcile once, over a good line."""
    vector_store = MemoryTarget(DB)
    async with place(world.aws, queue={}, clients=world.clients) as p:
        world.lines[p.bucket] = history.fault
        settings = p.settings(world.proxy.url, auto_sync=history.auto_sync, path_prefix=PREFIX)
        made: list[str] = []
        for life in range(history.kills + 1):
            async with daemon_on(folder, vector_store, world.connections) as daemon:
                daemon.watch.made = made
                if life == 0:
                    await daemon.add(settings)
                async with working(daemon, p, visibility_s=5, kind=poller) as work:
                    if life == 0:
                        await history.happen(p, history.steps())
                    if life < history.kills:
                        await until_some_are_received(work.poller, int(len(history.sent) * kill_at))
                        work.poller._queue.connection.is_cut = True
                    else:
                        await work.until_quiet()
                        del world.lines[p.bucket]
                        return await reconciled(history, daemon, p, settings)
    raise AssertionError


async def until_some_are_received(poller: QueuePoller, count: int) -> None:
    with anyio.move_on_after(5):
        while poller.stats.received < count:  # noqa: ASYNC110 - a number, not an event
            await anyio.sleep(0.01)


async def reconciled(history: History, daemon: Daemon, p: Place, settings: S3Settings) -> Outcome:
    goal, before = await expected(p, settings), await indexed(daemon, settings)
    (source,) = await daemon.factory.followed.of_queue(p.queue_url)
    await daemon.invocations.create(source.id, Target(DB, settings.collection), Origin.SCHEDULE)
    with anyio.fail_after(120):
        await daemon.run_due()
    dead = len(await daemon.dead_letters.list())
    return Outcome(history, goal, before, await indexed(daemon, settings), daemon.watch.made, dead)
