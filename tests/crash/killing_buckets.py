"""A daemon that follows buckets by their events and is killed again and again, and one that nobody disturbs and that only lists."""

import asyncio
import json
import random
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chromadb.errors

from tests.aws_servers import KEY, REGION, Aws, FaultyProxy
from tests.crash.history import section
from tests.crash.killing import collection_of
from tests.daemon import MINILM, Daemon, Held
from tests.sources.s3.buckets import Place, make_queue, place
from tests.sources.s3.histories import FILES, PREFIX, History, State, expected

WINDOW_S = 2.0
"""The work that a segment of history causes takes about so long; the moment of death is spread over it."""
LIMIT_S = 180.0
POLL_S = 0.1
KEYS = 12
"""Of each kind: written exactly once, and written again and again."""


@dataclass
class TextHistory(History):
    """A history of texts, so that the real pipeline makes chunks of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.once = [f"{PREFIX}once {n}.md" for n in range(KEYS)]
        self.hot = [f"{PREFIX}hot+{n}.md" for n in range(KEYS - 1)] + ["out/side.md"]
        self.hot_steps = 2 * KEYS

    def body(self, key: str) -> bytes:
        if key in FILES:
            return super().body(key)
        return "".join(section(self.random) for _ in range(self.random.randrange(1, 4))).encode()


@dataclass
class Followed:
    """One bucket and its history; its collection has the bucket's name."""

    place: Place
    history: TextHistory

    def source(self, url: str, **values: Any) -> dict[str, Any]:
        """Return the source as the API takes it; `url` is how the daemon reaches the bucket."""
        settings = {"bucket_name": self.place.bucket, "region": REGION, "collection_name": self.place.bucket}
        key = {"aws_access_key_id": KEY.access_key_id, "aws_secret_access_key": KEY.secret_access_key}
        there = {"path_prefix": PREFIX, "endpoint_url": url, "path_style": True}
        return {**settings, **key, **there, "auto_sync": self.history.auto_sync.value, **values}

    async def expected(self) -> State:
        """Return f(bucket): collection → key → (chunk prefix, content)."""
        settings = self.place.settings(auto_sync=self.history.auto_sync, collection=self.place.bucket)
        return await expected(self.place, settings, self.history.tenant)


@dataclass
class Storm:
    """Buckets behind a bad line that tell of themselves through one queue, and the daemon that follows them."""

    daemon: Daemon
    followed: list[Followed]
    proxy: FaultyProxy
    rng: random.Random
    source_ids: list[str] = field(default_factory=list)
    kills: int = 0
    kills_within_work: int = 0

    async def live(self, kills: int, moment: Callable[[], Awaitable[None]] | None = None) -> None:
        """Let everything happen, a segment in each of the daemon's lives, and wait until the last one has worked it off."""
        steps = [each.history.steps() for each in self.followed]
        for life in range(kills + 1):
            await asyncio.to_thread(self.daemon.start)
            if not self.source_ids:
                self.source_ids = [await self._add(each) for each in self.followed]
            async with asyncio.TaskGroup() as group:
                for each, all_steps in zip(self.followed, steps, strict=True):
                    segment = all_steps[life :: kills + 1]
                    group.create_task(each.history.happen(each.place, segment, is_last=life == kills))
                if life < kills:
                    await (moment or self._sometime)()
                    self._die()
        await self.until_quiet()

    async def reconcile(self) -> None:
        """List every bucket once, over a good line."""
        self.proxy.fault = lambda _: None
        for source_id in self.source_ids:
            await ask(self.daemon, f"/api/v1/sources/{source_id}/invocations", {"backfill": True})
        await self.until_quiet()

    async def until_empty(self) -> None:
        """Wait until everything is told and the queue holds nothing."""
        while not self.followed[0].history.sent or await self.followed[0].place.waiting():  # noqa: ASYNC110 - not our process
            await asyncio.sleep(POLL_S)

    async def until_quiet(self) -> None:
        """Wait until the queue holds nothing and the daemon has nothing to do."""
        deadline = time.monotonic() + LIMIT_S
        while await self.followed[0].place.waiting() or self.daemon.unsettled():
            assert self.daemon.process is not None
            assert self.daemon.process.poll() is None, self.daemon.log()
            assert time.monotonic() < deadline, self.daemon.log()
            await asyncio.sleep(POLL_S)

    async def _add(self, each: Followed) -> str:
        source = each.source(self.proxy.url, queue_url=each.place.queue_url)
        return (await ask(self.daemon, "/api/v1/sources", {"database_name": "default_database", "s3": source}))[
            "source_id"
        ]

    async def _sometime(self) -> None:
        await asyncio.sleep(self.rng.random() * WINDOW_S)

    def _die(self) -> None:
        self.daemon.kill()
        self.kills += 1
        self.kills_within_work += self.daemon.unsettled() > 0


@asynccontextmanager
async def storm(
    aws: Aws,
    folder: Path,
    models: Path,
    chroma: str,
    histories: list[TextHistory],
    program: tuple[str, ...] = ("syncd",),
) -> AsyncIterator[Storm]:
    """Yield a storm that has not begun; the daemon and the proxy are gone at the end."""
    rng = random.Random(histories[0].seed)
    proxied = FaultyProxy(aws.url, histories[0].fault)
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(place(aws)) for _ in histories]
        await make_queue(places[0], {})
        for each in places:
            each.queue_url, each.queue_arn = places[0].queue_url, places[0].queue_arn
        await stack.enter_async_context(proxied.running())
        daemon = Daemon(folder, configuration(models, chroma, proxied.url, aws.url), program)
        followed = [Followed(p, history) for p, history in zip(places, histories, strict=True)]
        try:
            yield Storm(daemon, followed, proxied, rng)
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()


async def differences(storm: Storm, calm: Daemon, aws: Aws) -> list[str]:
    """Compare every collection with what the bucket holds and with what an undisturbed daemon makes of it."""
    found: list[str] = []
    for each in storm.followed:
        body = {"database_name": "default_database", "s3": each.source(aws.url)}
        source_id = (await ask(calm, "/api/v1/sources", body))["source_id"]
        await ask(calm, f"/api/v1/sources/{source_id}/invocations", {"backfill": True})
        while await asyncio.to_thread(calm.unsettled):  # noqa: ASYNC110 - not our process
            await asyncio.sleep(POLL_S)
        for collection, documents in (await each.expected()).items():
            killed, undisturbed = contents(storm.daemon, collection), contents(calm, collection)
            if (now := documents_of(killed)) != {key: (p, b.decode()) for key, (p, b) in documents.items()}:
                wrong = sorted(key for key in {*now, *documents} if key not in now or key not in documents)
                found.append(f"{each.history.seed}: {collection} is not what the bucket holds: {wrong or 'contents'}")
            try:
                killed.assert_equals(undisturbed)
            except AssertionError as error:
                found.append(f"{each.history.seed}: {collection} differs from an undisturbed daemon's: {error}")
    return found


def contents(daemon: Daemon, collection: str) -> Held:
    """Return what a collection holds; nothing where nobody has made it."""
    try:
        return collection_of(daemon, collection)
    except chromadb.errors.NotFoundError:
        return Held({}, {})


def documents_of(held: Held) -> dict[str, tuple[str, str]]:
    """Return the documents of a collection: key → (chunk prefix, text)."""
    pieces: dict[str, list[tuple[str, int, str]]] = {}
    for chunk_id, (text, metadata) in held.rows.items():
        prefix, _, _ = chunk_id.rpartition("-")
        pieces.setdefault(metadata["object_key"], []).append((prefix, metadata["chunk_index"], text))
    return {
        key: (found[0][0], "".join(text for _, _, text in sorted(found, key=lambda piece: piece[1])))
        for key, found in pieces.items()
    }


async def ask(daemon: Daemon, path: str, body: dict[str, Any]) -> Any:
    """POST to a daemon's API."""
    headers = {"x-chroma-token": daemon.token(), "content-type": "application/json"}
    request = urllib.request.Request(daemon.announced()["url"] + path, json.dumps(body).encode(), headers)

    def send() -> Any:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    return await asyncio.to_thread(send)


def configuration(models: Path, chroma: str, *endpoints: str) -> str:
    """Return a configuration for sources made through the API; `chroma` is that section, '' for a server of its own."""
    return f"""
[api]
port = 0
[chroma]
{chroma}
[embedding]
default_model = "{MINILM}"
models_dir = "{models}"
threads = 1
[s3]
visibility_s = 2
allowed_endpoints = {json.dumps(endpoints)}
"""
