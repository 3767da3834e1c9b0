"""A daemon in one process that follows buckets: all but the index's vector store, which is in memory, is the real part.

Documents are not parsed or split and vectors are hashes, so that what is in a collection is what its bucket holds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from syncd.errors import RetryableError
from syncd.model import Invocation, Metadata, Origin, Target
from syncd.pipeline.job import DocumentJob
from syncd.pipeline.result import Result
from syncd.runtime.mailbox import Reply
from syncd.runtime.retry import Backoff
from syncd.runtime.wakeup import Wakeup
from syncd.sources.objects.event_queue import PollerSettings
from syncd.sources.objects.poller import QueuePoller
from syncd.sources.s3.client import Connection, Connections
from syncd.sources.s3.factory import CREDENTIAL_KIND, BucketFactory
from syncd.sources.s3.settings import S3Section, S3Settings, S3SourceSettings
from syncd.sources.s3.source import BucketSource
from syncd.sources.s3.sqs import SqsQueue
from syncd.sync.runner import Runner
from syncd.sync.settings import SyncSettings
from syncd.sync.syncer import Syncer
from tests.asking import asked
from tests.memory_target import MemoryTarget
from tests.pipeline.parts import CHUNKING, MODEL, Parts, over
from tests.sources.running import WHOLE, WatchedBody
from tests.sources.s3.buckets import FAST, Place

DB = "db"
HASTY = SyncSettings(ingesters=8, run_attempts=12, last_chance_attempt=12, backoff=Backoff(base_s=0.001, cap_s=0.005))
ONE_AT_ONCE = replace(HASTY, runs=1, object_runs=1)
LINEAGE = frozenset(
    {"source_id", "source_type", "key", "version", "start_byte", "end_byte", "start_line", "end_line", "stage"}
    | {"chunk_index", "chunk_count"}
)
"""What the daemon itself says on each row."""


@dataclass(frozen=True)
class Indexed:
    """One document in a collection."""

    prefix: str
    content: bytes | str
    """What is indexed; of what is not, whether it was skipped or failed, and why."""
    metadata: Metadata


@dataclass
class Daemon:
    """One life of a daemon, on its state folder; `vector_store` outlives it, as Chroma does."""

    parts: Parts
    vector_store: MemoryTarget
    factory: BucketFactory
    syncer: Syncer
    watch: "Watch"
    is_serving: bool = False

    def __post_init__(self) -> None:
        self.store = self.parts.store
        self.invocations = self.store.invocations
        self.dead_letters = self.factory.followed.dead_letters

    # --- sources and invocations

    async def add(self, settings: S3Settings) -> BucketSource:
        """Store a source, with its key, as the API does."""
        endpoint = settings.endpoint
        assert endpoint.key is not None
        key = {"aws_access_key_id": endpoint.key.access_key_id, "aws_secret_access_key": endpoint.key.secret_access_key}
        given = S3SourceSettings(
            bucket_name=settings.bucket,
            region=endpoint.region,
            collection_name=settings.collection,
            path_prefix=settings.path_prefix,
            auto_sync=settings.auto_sync,
            aws_credential_id=await self.store.credentials.add(DB, CREDENTIAL_KIND, key),
            queue_url=settings.queue_url,
            endpoint_url=endpoint.url,
            path_style=endpoint.path_style,
        )
        record = await self.store.sources.create("s3", DB, given, MODEL, CHUNKING)
        source = await self.factory.open(record)
        assert source.settings == settings
        return source

    async def invoke(
        self, source: BucketSource, key: str | None = None, collection: str | None = None, **request: Any
    ) -> Invocation:
        """Ask for a run as the API does, run whatever is due, and return the invocation as it ended."""
        wanted = asked(**{**({"object_key": key} if key else {}), **request})
        target = Target(DB, collection or source.settings.collection)
        invocation = await self.invocations.create(source.id, target, Origin.API, wanted)
        await self.run_due()
        ended = await self.invocations.get(invocation.id)
        assert ended is not None
        return ended

    async def run_due(self) -> None:
        """Let the Syncer serve until every invocation has ended."""
        if self.is_serving:
            self.syncer.wake()
            return await self.until_settled()
        async with self.serving():
            return await self.until_settled()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve invocations for the length of a block."""
        async with anyio.create_task_group() as group:
            await group.start(self.syncer.run)
            self.is_serving = True
            try:
                yield
            finally:
                self.is_serving = False
                group.cancel_scope.cancel()

    async def until_settled(self) -> None:
        """Wait until every invocation has ended."""
        while True:
            over = self.watch.over
            if not await self.unsettled():
                return
            await over.wait()

    async def unsettled(self) -> int:
        """Return how many invocations have not ended, without those that only ask again for what has failed."""
        statement = "SELECT count(*) FROM invocations WHERE state IN ('pending', 'processing') AND json_extract(request, '$.follow_up') IS NULL"
        return await self.store.database.read(lambda c: c.execute(statement).fetchone()[0])

    # --- what came of it

    @property
    def opened(self) -> list[str]:
        """Keys whose bytes were read, as often as they were."""
        return self.watch.opened

    @property
    def collections(self) -> set[str]:
        """Return the names of all collections."""
        return set(self.vector_store.databases[DB])

    async def documents(self, collection: str = "docs") -> dict[str, Indexed]:
        """Return what the store and the vector store have of a collection, by key; nothing of one that is not there."""
        target = Target(DB, collection)
        record = await self.store.collections.find(target)
        if record is None:
            return {}
        rows = {row.metadata["key"]: row for row in await self.vector_store.get(target)}
        recorded = {key: rest for key, *rest in await self.store.database.read(partial(every_document, record.id))}
        assert rows.keys() <= recorded.keys()
        found: dict[str, Indexed] = {}
        for key, (prefix, state, reason) in recorded.items():
            row = rows.get(key)
            assert row is None or row.id.startswith(prefix)
            content = ((row and row.document) or "").encode() if state == "indexed" else f"{state}: {reason}"
            metadata = {name: said for name, said in row.metadata.items() if name not in LINEAGE} if row else {}
            found[key] = Indexed(prefix, content, metadata)
        return found

    async def texts(self, collection: str = "docs") -> dict[str, bytes | str]:
        """Return the contents of a collection, by key."""
        return {key: document.content for key, document in (await self.documents(collection)).items()}


def every_document(collection_id: int, connection: Any) -> list[tuple[str, str, str, str]]:
    return connection.execute(
        "SELECT key, prefix, state, reason FROM documents WHERE collection_id = ?", (collection_id,)
    ).fetchall()


D = TypeVar("D", bound=Daemon)


@dataclass
class Watch:
    """Notes what the ingesters do, and tells that attempts are over."""

    opened: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    """Keys of documents that were indexed, as often as they were."""
    over: anyio.Event = field(default_factory=anyio.Event)
    """Set by the next attempt that is over."""

    def begin(self, parts: Parts) -> None:
        """Look at what this ingester does from now on."""
        ingest = parts.ingester.ingest

        async def watched(job: DocumentJob) -> Reply[Result]:
            document = job.document
            if document.body is not None:
                body = WatchedBody(document.body, lambda: self.opened.append(document.key))
                job = replace(job, document=replace(document, body=body))
            reply = await ingest(job)
            result = await reply
            if result.state == "indexed":
                self.made.append(result.key)
            return reply

        parts.ingester.ingest = watched  # type: ignore[method-assign]

    async def heard(self, _invocation: Invocation) -> None:
        """Hear that an attempt at an invocation is over."""
        over, self.over = self.over, anyio.Event()
        over.set()


@asynccontextmanager
async def daemon_on(
    folder: Path,
    vector_store: MemoryTarget | None = None,
    connections: Connections | None = None,
    settings: SyncSettings = HASTY,
) -> AsyncIterator[Daemon]:
    """Open a daemon on its state folder; given connections are left open."""
    async with AsyncExitStack() as stack:
        wakeup = Wakeup()

        async def make(parts: Parts) -> BucketFactory:
            factory = BucketFactory(parts.store, FAST, S3Section(), wakeup.ring)
            if connections is None:
                return await stack.enter_async_context(factory)
            share(factory, connections)
            return factory

        made = assembled(Daemon, folder, make, wakeup, vector_store or MemoryTarget(DB), settings)
        yield await stack.enter_async_context(made)


@asynccontextmanager
async def assembled(
    kind: type[D],
    folder: Path,
    make_factory: Callable[[Parts], Awaitable[Any]],
    wakeup: Wakeup,
    index: MemoryTarget,
    settings: SyncSettings = HASTY,
) -> AsyncIterator[D]:
    """Put a daemon together around the factory of one type of sources."""
    watch = Watch()
    async with over(folder, index, watch.begin, replace(WHOLE, ingesters=1)) as parts:
        factory = await make_factory(parts)
        runner = Runner(parts.store, index, parts.index, parts.ingester, factory.open, settings)
        syncer = Syncer(parts.store, runner, wakeup, [factory.settled, watch.heard])
        yield kind(parts, index, factory, syncer, watch)


def share(factory: BucketFactory, connections: Connections) -> None:
    """Let the factory's sources use connections that others use too: to open one takes longer than most tests."""
    factory.connections = connections
    factory._sources = replace(factory._sources, connections=connections)


class Line:
    """A connection that can be cut, as death cuts it: nothing is given back, nothing deleted any more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_cut = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def call(self, *arguments: Any) -> Any:
        if self.is_cut:
            raise RetryableError("the line is cut")
        return await self._connection.call(*arguments)


def poller_of(daemon: Daemon, place: Place, kind: type[QueuePoller] = QueuePoller, **settings: Any) -> QueuePoller:
    """Return a poller of the place's queue, in a hurry."""
    quick = {"wait_s": 1, "visibility_s": 30, "retry_cap_s": 0.0}
    factory = daemon.factory
    line: Any = Line(factory.connections.sqs(place.aws.endpoint(), 1.0))
    queue = SqsQueue(place.queue_url, line)
    return kind(place.queue_url, queue, factory.followed, PollerSettings(**quick | settings))


@dataclass
class Working:
    """A daemon at work on a queue."""

    daemon: Daemon
    place: Place
    poller: QueuePoller

    async def until_quiet(self) -> None:
        """Wait until the queue is empty and every invocation has ended."""
        with anyio.fail_after(60):
            while await self._is_busy():  # noqa: ASYNC110 - not our process
                await anyio.sleep(0.1)

    async def _is_busy(self) -> bool:
        """Tell whether something is left to do. The queue is asked last, for it costs most, and runs may lead to runs."""
        daemon = self.daemon
        return bool(await daemon.unsettled() or await self.place.waiting() or await daemon.unsettled())


@asynccontextmanager
async def working(
    daemon: Daemon, place: Place, kind: type[QueuePoller] = QueuePoller, **settings: Any
) -> AsyncIterator[Working]:
    """Poll the queue and serve invocations for the length of a block.

    Once per queue: a long poll that was given up may still take a message with it, on moto for its visibility timeout.
    """
    poller = poller_of(daemon, place, kind, **settings)
    async with daemon.serving(), anyio.create_task_group() as group:
        await group.start(poller.run)
        yield Working(daemon, place, poller)
        group.cancel_scope.cancel()
