"""The world of a simulated daemon: sources, a vector store and a model that are in trouble now and then, and what must come of it.

It outlives every crash. The oracle is what a daemon is judged by: a source is a journal of changes, and in the end a collection
holds each line of each document's last version as one row, and nothing else.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

import anyio

from syncd.errors import RetryableError, TargetRefusedError
from syncd.model import Checkpoint, Chunk, ChunkSpan, Document, Embedded, Run, Target, chunk_prefix
from tests.memory_target import MemoryTarget
from tests.pipeline.parts import HashEmbedder
from tests.simulation.virtual import Clock, VirtualLoop

DATABASE = "default_database"
DELAY_S = 0.05
MARK_EVERY = 3
"""A source says so often, in documents, from where a later run could go on."""
LOOK_EVERY_S = 3600.0
"""A watch asks for a run so often even if it heard of no change."""
TROUBLES = ("source", "body", "store", "writes", "refusals", "model")
"""What can be in trouble: listing a source, reading a document, the vector store, a write half-way, all writes, the model."""


Line = tuple[str, int, str, str]
"""What a row says: key, place in the document, text, version."""


@dataclass
class Journal:
    """A source: what changed in it, in order. Each of its sources feeds the collection of its name."""

    name: str
    entries: list[tuple[str, str | None]] = field(default_factory=list)
    """(key, text); None: the document is gone."""

    def texts(self, until: int | None = None) -> dict[str, tuple[str, str]]:
        """Return (version, text) of every document that there is."""
        found: dict[str, tuple[str, str]] = {}
        for number, (key, text) in enumerate(self.entries[:until]):
            found.pop(key, None)
            if text is not None:
                found[key] = (str(number), text)
        return found


@dataclass
class World:
    """Everything outside the daemon."""

    clock: Clock
    rng: random.Random
    journals: list[Journal]
    target: MemoryTarget = field(default_factory=MemoryTarget)
    until: dict[str, float] = field(default_factory=dict)
    """When each trouble ends."""
    crash_in_write: int | None = None
    """So many steps after the beginning of the next write the daemon crashes."""

    def is_troubled(self, what: str) -> bool:
        """Return whether something is in trouble now."""
        return self.until.get(what, 0.0) > self.clock.now

    async def pause(self, trouble: str = "", error: Callable[[str], Exception] = RetryableError) -> None:
        """Take some time, as whatever is outside does; raise if it is in trouble."""
        await anyio.sleep(self.rng.random() * DELAY_S)
        if self.is_troubled(trouble):
            raise error(f"{trouble} in trouble")

    def expected(self, journal: Journal) -> Counter[Line]:
        """Return the rows that a collection must have; which ids they have is the store's business."""
        return Counter(
            (key, number, line, version)
            for key, (version, text) in journal.texts().items()
            for number, line in enumerate(text.splitlines())
        )

    def held(self, journal: Journal) -> Counter[Line]:
        """Return the rows that the collection has."""
        collection = self.target.databases[DATABASE].get(journal.name)
        rows = collection.rows.values() if collection else ()
        return Counter(
            (row.metadata["key"], row.metadata["chunk_index"], row.document, row.metadata["version"]) for row in rows
        )

    def wrong(self) -> str:
        """Return how the collections differ from their sources, '' if they do not."""
        for journal in self.journals:
            expected, held = self.expected(journal), self.held(journal)
            if expected != held:
                return f"{journal.name}: {(expected - held).total()} rows lost, {(held - expected).total()} too many or stale"
        return ""


class JournalSource:
    """Yields what changed since the cursor, which is a place in the journal."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world = world
        self._journal = journal

    async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint]:
        await self._world.pause("source")
        head = len(self._journal.entries)
        texts, begin = self._journal.texts(head), int(run.cursor or 0)
        if run.keys is not None:
            for key in sorted(run.keys):
                yield self._document(key, texts)
            yield Checkpoint(str(begin))
            return
        last = {key: number for number, (key, _) in enumerate(self._journal.entries[:head])}
        for number in range(begin, head):
            key = self._journal.entries[number][0]
            if last[key] == number:
                yield self._document(key, texts)
            if number % MARK_EVERY == 0:
                await self._world.pause("source")
                yield Checkpoint(str(number + 1), is_mark=True)
        yield Checkpoint(str(head))

    def _document(self, key: str, texts: dict[str, tuple[str, str]]) -> Document:
        version, text = texts.get(key, ("", ""))
        body = Body(self._world, text) if key in texts else None
        return Document(key, version, body, chunk_prefix(key))


@dataclass
class Body:
    """A document's bytes, which cannot always be had."""

    world: World
    text: str

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BytesIO]:
        await self.world.pause("body")
        yield BytesIO(self.text.encode())


class LinePreparer:
    """Each line is a chunk."""

    def fingerprint(self, _name: str, _media_type: str | None) -> str:
        return ""

    async def prepare(self, file: Any, *_arguments: Any, **_options: Any) -> AsyncIterator[Sequence[Chunk]]:
        for number, line in enumerate(file.read().decode().splitlines(), 1):
            yield [Chunk(line, ChunkSpan(0, len(line), number, number), "whole")]


class SimulatedModel(HashEmbedder):
    """Takes its time and is away now and then."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def embed(self, texts: Sequence[str], role: str, task: Any = None, *, urgent: bool = False) -> Embedded:
        await self._world.pause("model")
        return await super().embed(texts, role, task, urgent=urgent)


class SimulatedStore:
    """The vector store as one life of the daemon sees it; each call takes time before and after its effect."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.as_stored = world.target.as_stored

    def status(self) -> str | None:
        return "the vector store is away" if self._world.is_troubled("store") else None

    async def available(self) -> None:
        while self._world.is_troubled("store"):  # noqa: ASYNC110 - troubles set no event
            await anyio.sleep(max(0.001, self._world.until["store"] - self._world.clock.now))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        effect = getattr(self._world.target, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            await self._world.pause("store")
            result = await effect(*arguments, **options)
            await self._world.pause("store")
            return result

        return call

    async def write(self, target: Target, delete_ids: Sequence[str], add: Any, update_metadata: Any) -> None:
        if self._world.crash_in_write is not None:
            cast("VirtualLoop", asyncio.get_running_loop()).crash_in = self._world.crash_in_write
            self._world.crash_in_write = None
        await self._world.pause("store")
        await self._world.pause("refusals", TargetRefusedError)
        half = add.chosen(range(len(add.ids) // 2))
        if self._world.is_troubled("writes"):
            await self._world.target.write(target, [], half, update_metadata)
            raise RetryableError("the connection was reset half-way")
        await self._world.target.write(target, delete_ids, half, update_metadata)
        await self._world.pause("store")
        await self._world.target.write(target, [], add, update_metadata)
        await self._world.pause("store")
