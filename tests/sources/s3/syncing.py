"""The rest of the daemon in miniature: the real journal, the real source and poller, and dictionaries for an index.

It obeys the Syncer's rules: an invocation is settled after its work is done; a version that is indexed is not opened; what
a complete listing did not yield is deleted, after another look; one key is worked on by one run at a time; chunk ids have one
owner.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from syncd.errors import PermanentError, RetryableError, Skipped
from syncd.model import (
    Checkpoint,
    Chunking,
    Counts,
    Document,
    Embedding,
    Invocation,
    Origin,
    Run,
    State,
    Target,
)
from syncd.runtime.keylocks import KeyLocks
from syncd.sources.registry import TYPES
from syncd.sources.s3.client import Connection, Connections
from syncd.sources.s3.event_store import CheckQueue, DeadLetters
from syncd.sources.s3.journal import Journal
from syncd.sources.s3.label_store import Labels
from syncd.sources.s3.poller import QueuePoller
from syncd.sources.s3.settings import PollerSettings, S3Settings, S3SourceSettings, Transport
from syncd.sources.s3.source import BucketSource, S3Sources
from syncd.store.database import Database
from syncd.store.invocations import Invocations
from syncd.store.sources import Sources
from tests.asking import asked
from tests.aws_servers import Aws

DB = "db"
STORED = S3SourceSettings(bucket_name="stored", region="elsewhere")
"""Not looked at here: each source is opened with the settings of its test."""
FAST = Transport(stall_timeout_s=5.0, backoff_base_s=0.01, backoff_cap_s=0.05, call_timeout_s=10.0)


@dataclass(frozen=True)
class Indexed:
    """One document in a collection."""

    prefix: str
    content: bytes | str
    metadata: Mapping[str, Any]
    version: str = ""


@dataclass
class Daemon:
    """One state folder's worth of daemon; `index` outlives it, as Chroma does."""

    database: Database
    connections: Connections
    index: dict[str, dict[str, Indexed]]
    s3: dict[str, S3Settings] = field(default_factory=dict)
    cursors: dict[tuple[str, str], str] = field(default_factory=dict)
    seen: dict[str, set[str]] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    attempts: int = 12

    def __post_init__(self) -> None:
        self.invocations = Invocations(self.database)
        self.sources = Sources(self.database, TYPES)
        self.labels = Labels(self.database)
        self.dead_letters = DeadLetters(self.database)
        self.keys = KeyLocks()
        self.woken = anyio.Event()
        self.journal = Journal(CheckQueue(self.database), lambda: self.woken.set())
        self.journal.daemon = self  # type: ignore[attr-defined]  # for a poller that goes past the journal
        self.open = S3Sources(self.connections, self.labels, self.journal, KeyLocks())

    # --- sources and invocations

    async def add(self, settings: S3Settings) -> BucketSource:
        record = await self.sources.create("s3", DB, STORED, Embedding(), Chunking())
        self.s3[record.id] = settings
        return self.open.open(record.id, settings)

    async def all_sources(self) -> list[BucketSource]:
        return [self.open.open(source_id, settings) for source_id, settings in self.s3.items()]

    async def invoke(
        self, source: BucketSource, key: str | None = None, collection: str | None = None, **request: Any
    ) -> Invocation:
        """Ask for a run as the API does, run whatever is due, and return the invocation as it ended."""
        wanted = asked(**{**({"object_key": key} if key else {}), **request})
        target = Target(DB, collection or source.settings.collection)
        invocation = await self.invocations.create(source.id, target, Origin.API, wanted)
        await self.run_due()
        return await self.invocations.get(invocation.id)

    async def run_due(self) -> None:
        """Run every invocation that waits, one after the other."""
        while due := await self.invocations.due(1):
            await self.run_one(due[0])

    async def serve(self) -> None:
        """Run invocations as they come, one after the other."""
        while True:
            self.woken = anyio.Event()
            await self.run_due()
            await self.woken.wait()

    async def run_one(self, invocation: Invocation) -> None:
        await self.invocations.start(invocation.id)
        source = self.open.open(invocation.source_id, self.s3[invocation.source_id])
        state, error = State.COMPLETE, None
        for attempt in range(self.attempts):
            try:
                await self.execute(source, invocation)
                break
            except RetryableError as problem:
                state, error = State.FAILED, str(problem)
                if attempt + 1 < self.attempts:
                    state, error = State.COMPLETE, None
                    await anyio.sleep(0.005)
            except PermanentError as problem:
                state, error = State.FAILED, str(problem)
                break
        await self.invocations.settle(invocation.id, state, Counts(), error)
        await self.journal.over(invocation)

    async def execute(self, source: BucketSource, invocation: Invocation) -> None:
        collection = self.index.setdefault(invocation.target.collection, {})
        known = Known(collection)
        key = invocation.request.object_key
        place = (source.id, invocation.target.collection)
        run = Run(invocation, self.cursors.get(place), known, frozenset({key}) if key else None)
        seen = self.seen.setdefault(invocation.id, set())
        async for item in source.changes(run):
            match item:
                case Document():
                    seen.add(item.key)
                    await self.apply(collection, item)
                case Checkpoint():
                    if item.absent_are_gone:
                        for absent in set(collection) - seen:
                            if await source.is_gone(absent, invocation.target.collection):
                                del collection[absent]
                    if run.keys is None:
                        self.cursors[place] = item.cursor

    async def apply(self, collection: dict[str, Indexed], document: Document) -> None:
        if document.body is None:
            collection.pop(document.key, None)
            return
        now = Indexed(document.chunk_prefix, b"", dict(document.metadata), document.version)
        before = collection.get(document.key)
        if before and not isinstance(before.content, str) and replace(before, content=b"") == now:
            return
        if any(key != document.key and d.prefix == document.chunk_prefix for key, d in collection.items()):
            collection[document.key] = Indexed("", "failed: its chunk ids belong to another", {})
            return
        self.opened.append(document.key)
        try:
            async with document.body.open() as file:
                content: bytes | str = file.read()
        except Skipped as error:
            content = f"skipped: {error}"
        except PermanentError as error:
            content = f"failed: {error}"
        collection[document.key] = replace(now, content=content)
        self.made.append(document.key)


@dataclass(frozen=True)
class Known:
    collection: Mapping[str, Indexed]

    async def version(self, key: str) -> str | None:
        return self.collection[key].version if key in self.collection else None

    async def owner(self, prefix: str) -> str | None:
        return next((key for key, document in self.collection.items() if document.prefix == prefix), None)

    async def keys(self) -> AsyncIterator[str]:
        for key in sorted(self.collection):
            yield key


@asynccontextmanager
async def daemon_on(
    folder: Path, index: dict[str, dict[str, Indexed]] | None = None, connections: Connections | None = None
) -> AsyncIterator[Daemon]:
    """Open a daemon on its state folder; given connections are left open."""
    database = await Database.open(folder / "syncd.sqlite", TYPES.migrations)
    own = connections or Connections(FAST)
    try:
        yield Daemon(database, own, {} if index is None else index)
    finally:
        if connections is None:
            await own.close()
        await database.close()


@dataclass
class Place:
    """A fresh bucket with a queue that its events reach, and clients to both."""

    aws: Aws
    s3: Any
    sqs: Any
    bucket: str
    queue_url: str = ""
    queue_arn: str = ""

    def settings(self, url: str | None = None, **values: Any) -> S3Settings:
        defaults = {"collection": "docs", "queue_url": self.queue_url or None}
        return S3Settings(self.bucket, self.aws.endpoint(url), **defaults | values)

    async def put(self, key: str, body: bytes | str) -> None:
        await self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode() if isinstance(body, str) else body)

    async def delete(self, key: str) -> None:
        await self.s3.delete_object(Bucket=self.bucket, Key=key)

    async def waiting(self) -> int:
        answer = await self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])
        return sum(int(v) for k, v in answer["Attributes"].items() if k.startswith("ApproximateNumberOfMessages"))

    async def contents(self, prefix: str = "") -> dict[str, bytes]:
        found = {}
        answer = await self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        for item in answer.get("Contents", ()):
            async with (await self.s3.get_object(Bucket=self.bucket, Key=item["Key"]))["Body"] as body:
                found[item["Key"]] = await body.read()
        return found


@asynccontextmanager
async def place(
    aws: Aws, *, events: bool = False, queue: Mapping[str, str] | None = None, clients: tuple[Any, Any] | None = None
) -> AsyncIterator[Place]:
    """Make a bucket and, where its attributes are given, a queue; with `events`, one that the bucket tells everything."""
    async with AsyncExitStack() as stack:
        s3, sqs = clients or [await stack.enter_async_context(aws.client(service)) for service in ("s3", "sqs")]
        made = Place(aws, s3, sqs, f"bucket-{uuid.uuid4()}")
        await s3.create_bucket(Bucket=made.bucket)
        if events or queue is not None:
            await make_queue(made, queue or {})
        if events:
            configuration = {
                "QueueArn": made.queue_arn,
                "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"],
            }
            await s3.put_bucket_notification_configuration(
                Bucket=made.bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
            )
        yield made


async def make_queue(place: Place, attributes: Mapping[str, str]) -> None:
    name = f"queue-{uuid.uuid4()}"
    place.queue_url = (await place.sqs.create_queue(QueueName=name, Attributes=dict(attributes)))["QueueUrl"]
    answer = await place.sqs.get_queue_attributes(QueueUrl=place.queue_url, AttributeNames=["QueueArn"])
    place.queue_arn = answer["Attributes"]["QueueArn"]


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
    return kind(
        place.queue_url,
        Line(daemon.connections.sqs(place.aws.endpoint(), 1.0)),
        daemon.all_sources,
        daemon.journal,
        daemon.dead_letters,
        PollerSettings(**quick | settings),
    )


@dataclass
class Working:
    """A daemon at work on a queue."""

    daemon: Daemon
    place: Place
    poller: QueuePoller

    async def until_quiet(self) -> None:
        """Wait until the queue is empty and nothing is due."""
        with anyio.fail_after(60):
            while await self.place.waiting() or await self.daemon.invocations.due(1):  # noqa: ASYNC110 - not our process
                await anyio.sleep(0.1)


@asynccontextmanager
async def working(
    daemon: Daemon, place: Place, make_poller: Callable[..., QueuePoller] | None = None, **settings: Any
) -> AsyncIterator[Working]:
    """Poll the queue and serve invocations for the length of a block.

    Once per queue: a long poll that was given up may still take a message with it, on moto for its visibility timeout.
    """
    poller = (make_poller or poller_of)(daemon, place, **settings)
    async with anyio.create_task_group() as group:
        group.start_soon(daemon.serve)
        await group.start(poller.run)
        yield Working(daemon, place, poller)
        group.cancel_scope.cancel()


def texts(collection: Mapping[str, Indexed]) -> dict[str, bytes | str]:
    """Return the contents of a collection, by key."""
    return {key: document.content for key, document in collection.items()}
