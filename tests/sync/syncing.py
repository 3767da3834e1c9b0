"""A running syncer, and sources that yield or fail as told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO

import anyio

from syncd.errors import RetryableError
from syncd.model import Checkpoint, Document, Invocation, Origin, State, Target
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.runtime.retry import Backoff
from syncd.runtime.wakeup import Wakeup
from syncd.sources.s3.settings import S3SourceSettings
from syncd.sources.web.settings import WebSourceSettings
from syncd.sync.runner import Runner
from syncd.sync.settings import SyncSettings
from syncd.sync.syncer import Syncer
from tests.pipeline.parts import CHUNKING, MODEL

SOON = Backoff(0.001, cap_s=0.001)
HASTY = SyncSettings(run_attempts=3, document_attempts=2, last_chance_attempt=2, backoff=SOON, again=SOON)


FILES = {
    "a.py": "def a():\n    return 1\n",
    "b.md": "# Title\n\nSome words about things that matter here.\n\n## More\n\nOther words, about other things.\n",
    "c.py": "def c():\n    return 3\n",
}
"""What the tests' folder holds."""


class Text:
    """A body in memory, or the error that opening it raises."""

    def __init__(self, content: str | Exception) -> None:
        self.content = content
        self.opened = 0

    @asynccontextmanager
    async def open(self):
        self.opened += 1
        if isinstance(self.content, Exception):
            raise self.content
        yield BytesIO(self.content.encode())


def document(content: str | Exception, **values) -> Document:
    return Document("a.txt", "1", Text(content), "a", **values)


class Fixed:
    """A source that yields one document, or fails."""

    def __init__(self, what: Callable[[int], Document]) -> None:
        self.what = what
        self.runs = 0

    async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
        self.runs += 1
        yield self.what(self.runs)
        yield Checkpoint("end")


@asynccontextmanager
async def syncing(parts, source, listeners=(), settings=HASTY) -> AsyncIterator[Syncer]:
    """Yield a running syncer, whose sources are all `source`, or the one of their id."""

    async def embedder(_: str):
        return parts.embedder

    async def opened(record):
        return source[record.id] if isinstance(source, dict) else source

    async with DocumentPreparer() as preparer, anyio.create_task_group() as group:
        preparation = Preparation(lambda _source: preparer, embedder)
        ingester = Ingester(parts.store, parts.ingester.effects(False), parts.stage, preparation)
        runner = Runner(parts.store, parts.chroma, parts.index, ingester, opened, settings)
        syncer = Syncer(parts.store, runner, Wakeup(), listeners)
        await group.start(syncer.run)
        yield syncer
        group.cancel_scope.cancel()


SETTINGS = S3SourceSettings(bucket_name="bucket", region="r")
SITE = WebSourceSettings(starting_url="https://example.org/")


async def created(parts, origin: Origin, name: str, kind: str = "s3", settings=None) -> Invocation:
    """Create a source and an invocation of it."""
    settings = settings or (SITE if kind == "web_scrape" else SETTINGS)
    record = await parts.store.sources.create(kind, "default_database", settings, MODEL, CHUNKING)
    return await parts.store.invocations.create(record.id, Target("default_database", name), origin)


async def ended(parts, source: Fixed, origin: Origin, name: str) -> Invocation:
    """Serve the source's one invocation until it has settled, and return it."""
    invocation = await created(parts, origin, name)
    async with syncing(parts, source):
        return await settled(parts, invocation)


async def settled(parts, invocation: Invocation) -> Invocation:
    """Wait until an invocation is over, and return it."""
    with anyio.fail_after(120):
        while invocation.state not in (State.COMPLETE, State.FAILED):
            await anyio.sleep(0.01)
            invocation = await parts.store.invocations.get(invocation.id)
    return invocation


def away(_: int) -> Document:
    raise RetryableError("the other side is away")


class Broken(Fixed):
    """A source with a bug in it, which arrives as the source's task group raises it where `grouped`."""

    def __init__(self, grouped: bool = False) -> None:
        super().__init__(away)
        self.grouped = grouped

    async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
        self.runs += 1
        if self.grouped:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, int, None)
        raise TypeError("'NoneType' object is not subscriptable")
        yield


class Cut:
    """A site of which a run sees one page, and the last run of `ends` all there is."""

    def __init__(self, *ends: Checkpoint) -> None:
        self.ends = list(ends)

    async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
        yield document("what can be seen")
        yield self.ends.pop(0)
