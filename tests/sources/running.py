"""Runs sources as the daemon does, into a collection of the in-memory vector store, and says what came of it.

Real are the run, the ingesters, the index and SQLite. A document's text is not parsed or split, so that what is in the
collection is what the source brought, and vectors are hashes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import anyio
import anyio.lowlevel

from syncd.errors import SyncdError
from syncd.model import (
    Body,
    Checkpoint,
    Chunk,
    Chunking,
    ChunkSpan,
    Document,
    Invocation,
    Origin,
    Request,
    Run,
    Source,
    SourceRecord,
    State,
    Target,
    Total,
    Warnings,
    chunk_prefix,
)
from syncd.pipeline.job import DocumentJob
from syncd.pipeline.result import Result
from syncd.runtime.mailbox import Reply
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.document_warnings import WarnedDocument, WarnedQuery
from syncd.sync.run import DeleteGuard
from tests.asking import asked
from tests.memory_target import MemoryTarget
from tests.pipeline.parts import CHUNKING, MODEL, Manner, Parts, over

TARGET = Target("default_database", "synced")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "folder": {"path": "/folder"},
    "github": {"repository": "owner/name"},
    "git": {"url": "https://example.org/owner/name.git"},
    "web_scrape": {"starting_url": "https://example.org/"},
}
"""What the record says; the source itself is the test's."""
UNGUARDED = DeleteGuard(share=1.0, minimum=1 << 30)


class WholeText:
    """Documents as they are: one chunk."""

    def fingerprint(self, _name: str, _media_type: str | None) -> str:
        return ""

    async def prepare(
        self,
        file: BinaryIO,
        _name: str,
        _media_type: str | None,
        _path: str,
        _chunking: Chunking,
        _warnings: Warnings,
        *,
        urgent: bool = False,
    ) -> AsyncIterator[Sequence[Chunk]]:
        text = file.read().decode("utf-8", "replace")
        if text:
            yield [Chunk(text, ChunkSpan(0, len(text.encode()), 1, 1 + text.count("\n")), "whole")]


WHOLE = Manner(WholeText(), ingesters=64, gather_s=0.0)


class Died(Exception):
    """The daemon is gone, in the middle of a run."""


@dataclass
class Seen:
    """What was seen of one run."""

    documents: list[Document] = field(default_factory=list)
    latest: list[Document] = field(default_factory=list)
    """The same, and what they were when they were looked at again."""
    opened: list[str] = field(default_factory=list)
    """Keys whose bytes were read, as often as they were."""
    looked_again: list[str] = field(default_factory=list)
    """Keys of documents that had to be looked at again, because their bytes were needed after all."""
    checkpoint: Checkpoint | None = None
    expected: int = 0
    results: list[Result] = field(default_factory=list)

    def keys(self, state: str) -> list[str]:
        """Return what came to this end, in the order in which it did."""
        return [result.key for result in self.results if result.state == state]

    @property
    def touched(self) -> list[str]:
        """What was read or deleted."""
        return [*dict.fromkeys(self.opened), *self.keys("deleted")]


@dataclass(frozen=True)
class WatchedBody:
    """A document's body that notes when it is opened."""

    body: Body
    note: Any

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BinaryIO]:
        self.note()
        async with self.body.open() as file:
            yield file


@dataclass
class Watched:
    """A source that notes what it yields, and dies once `die_after` documents are done."""

    source: Source
    seen: Seen
    die_after: int | None = None

    async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint | Total]:
        steps = self.source.changes(run)
        try:
            while True:
                await self._live_on()
                try:
                    step = await anext(steps)
                except StopAsyncIteration:
                    return
                if isinstance(step, Document):
                    self.seen.documents.append(step)
                    step = self._watched(step)
                elif isinstance(step, Total):
                    self.seen.expected = step.documents
                else:
                    self.seen.checkpoint = step
                yield step
        finally:
            await steps.aclose()  # type: ignore[attr-defined]  # every source here is an async generator

    def _watched(self, document: Document) -> Document:
        self.seen.latest.append(document)

        async def again() -> Document:
            self.seen.looked_again.append(document.key)
            assert document.again is not None
            return self._watched(await document.again())

        if document.body is None:
            return document
        body = WatchedBody(document.body, lambda: self.seen.opened.append(document.key))
        return replace(document, body=body, again=again if document.again else None)

    async def _live_on(self) -> None:
        if self.die_after is not None and len(self.seen.documents) >= self.die_after:
            # Documents that are gone wait for the checkpoint, which a dead run does not reach.
            while len(self.seen.results) < sum(document.body is not None for document in self.seen.documents):
                await anyio.lowlevel.checkpoint()
            raise Died


@dataclass
class SyncedCollection:
    """One collection of one source. Every run is a daemon's life of its own, on the state that the one before left."""

    type: str = "github"
    attempts: int = 1
    config_hash: str = "recipe"
    contents: dict[str, bytes | str] = field(default_factory=dict)
    """What is indexed, by key; of what is not, whether it was skipped or failed, and why."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of what is indexed, by key, in the order in which the source first yielded it."""
    cursor: str | None = None
    warned: Sequence[WarnedDocument] = ()
    """What is listed with warnings."""
    last: Seen = field(default_factory=Seen)

    def __post_init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="syncd-test-", ignore_cleanup_errors=True)
        self._vector_store = MemoryTarget(TARGET.database)
        self._order: dict[str, None] = {}

    @property
    def documents(self) -> list[Document]:
        """What the last run yielded."""
        return self.last.documents

    @property
    def expected(self) -> int:
        """How many documents the last run said it was to yield."""
        return self.last.expected

    @property
    def failed(self) -> dict[str, str]:
        """Why documents of the last run failed, by key; what was indexed of them before is still there."""
        return {result.key: result.reason for result in self.last.results if result.state == "failed"}

    # --- what a source asks

    async def version(self, key: str) -> str | None:
        return self.versions.get(key)

    async def owner(self, prefix: str) -> str | None:
        return next((key for key in self.versions if chunk_prefix(key) == prefix), None)

    async def keys(self) -> AsyncIterator[str]:
        for key in sorted(self.versions):
            yield key

    # --- runs

    async def sync(
        self,
        source: Source,
        request: Mapping[str, Any] | None = None,
        keys: frozenset[str] | None = None,
        die_after: int | None = None,
    ) -> list[str]:
        """Run once and return the keys of what was read or deleted; die when `die_after` documents are done.

        Raises what the run raises.
        """
        self.last = Seen()
        wanted = asked(**(request or {}), **({"keys": sorted(keys)} if keys is not None else {}))
        manner = replace(WHOLE, attempts=self.attempts)
        problem: Exception | None = None
        async with over(Path(self._folder.name), self._vector_store, self._watch, manner) as parts:
            try:
                await self._run(parts, Watched(source, self.last, die_after), wanted)
            except (Died, SyncdError) as error:
                problem = error
            await self._look(parts)
        if isinstance(problem, SyncdError):
            raise problem
        return self.last.touched

    async def forget_cursor(self) -> None:
        """Have the next run look at everything again."""
        async with over(Path(self._folder.name), self._vector_store, self._watch, WHOLE) as parts:
            record, collection = await self._record(parts.store), await parts.store.collections.find(TARGET)
            assert collection is not None
            await parts.store.progress.forget_cursor(record.id, collection.id)

    def _watch(self, parts: Parts) -> None:
        ingest, seen = parts.ingester.ingest, self.last

        async def watched(job: DocumentJob) -> Reply[Result]:
            reply = await ingest(job)
            seen.results.append(await reply)
            return reply

        parts.ingester.ingest = watched  # type: ignore[method-assign]

    async def _run(self, parts: Parts, source: Source, request: Request) -> None:
        record = await self._record(parts.store)
        invocation = await parts.store.invocations.create(record.id, TARGET, Origin.API, request)
        run = await parts.begin(record, invocation, UNGUARDED, self.config_hash)
        try:
            await run.execute(source)
        except SyncdError as error:
            await parts.store.invocations.settle(invocation.id, State.FAILED, run.counts, str(error))
            raise
        await parts.store.invocations.settle(invocation.id, State.COMPLETE, run.counts)

    async def _record(self, store: Store) -> SourceRecord:
        known = await store.sources.by_name("tested")
        if known is not None:
            return known
        settings = TYPES.read_settings(self.type, SETTINGS[self.type])
        return await store.sources.create(self.type, TARGET.database, settings, MODEL, CHUNKING, "tested")

    async def _look(self, parts: Parts) -> None:
        """Note what is in the collection, and what the store says of the rest."""
        record, collection = await self._record(parts.store), await parts.store.collections.find(TARGET)
        if collection is None:
            return
        self.cursor = await parts.store.progress.cursor(record.id, collection.id, self.config_hash)
        self._order.update(dict.fromkeys(document.key for document in self.last.documents))
        rows = await self._vector_store.get(TARGET)
        texts = {row.metadata["key"]: (row.document or "").encode() for row in rows}
        documents = {row[0]: row[1:] for row in await parts.store.database.read(every_document)}
        self.versions = {
            key: documents[key][2] for key in self._order if key in documents and documents[key][0] == "indexed"
        }
        self.contents = {
            key: texts.get(key, b"") if state == "indexed" else f"{state}: {reason}"
            for key, (state, reason, _) in documents.items()
        }
        self.warned = await parts.store.warnings.list(WarnedQuery())
        assert texts.keys() <= self._order.keys()

    async def hold(self, *documents: Document) -> None:
        """Have these documents as if an earlier run had brought or deleted them; the cursor stays."""
        seen = self.last
        keys = frozenset(document.key for document in documents)
        await self.sync(Listed(documents), keys=keys)
        self.last = seen


def every_document(connection: Any) -> list[tuple[str, str, str, str]]:
    return connection.execute("SELECT key, state, reason, version FROM documents ORDER BY id").fetchall()


@dataclass(frozen=True)
class Listed:
    """A source that holds these documents."""

    documents: Sequence[Document]

    async def changes(self, _run: Run) -> AsyncIterator[Document | Checkpoint | Total]:
        for document in self.documents:
            yield document
        yield Checkpoint("")


@dataclass(frozen=True)
class Bytes:
    """A body in memory."""

    data: bytes

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BinaryIO]:
        yield BytesIO(self.data)


def document(key: str, text: str | None, version: str = "1") -> Document:
    """Return a document that says `text`, or one that is gone."""
    if text is None:
        return Document(key, "", None, chunk_prefix(key))
    return Document(key, version, Bytes(text.encode()), chunk_prefix(key))


def invocation(request: Mapping[str, Any] | None = None) -> Invocation:
    """Return an invocation that is nowhere stored, for a test that asks a source itself."""
    now = datetime.now(UTC)
    return Invocation("i", "s", Target("d", "c"), Origin.API, asked(**(request or {})), State.PROCESSING, now)
