"""The pipeline's parts in one process, for tests that need to look inside: everything is real but the vectors."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.index.target import VectorStore
from syncd.index.writer import GATHER_S, Index
from syncd.model import (
    Chunking,
    Embedded,
    Embedding,
    Invocation,
    Origin,
    Preparer,
    SourceRecord,
    Target,
)
from syncd.pipeline.disk import DiskRoom
from syncd.pipeline.effects import RealEffects
from syncd.pipeline.embedding_stage import EmbeddingStage
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.job import RunPlan
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.encoding import SparseEncoding
from syncd.pipeline.tracing import UNTRACED, Tracer
from syncd.runtime.mailbox import Mailbox
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.sync.deletes import DeleteGuard
from syncd.sync.ingesters import Ingesters
from syncd.sync.run import SourceRun
from syncd.sync.settings import SyncSettings
from tests.asking import asked

MODEL = Embedding(model="hash")
CHUNKING = Chunking(target_size_bytes=60, max_size_bytes=120)


class HashEmbedder:
    """Vectors from the text's hash: deterministic, and different for different texts."""

    model = "hash"
    fingerprint = "hash-1"
    dimensions = 8
    max_tokens = 10_000

    def __init__(self) -> None:
        self.embedded: list[str] = []

    async def embed(self, texts: Sequence[str], role: str, task: Any = None, *, urgent: bool = False) -> Embedded:
        self.embedded.extend(texts)
        rows = [np.frombuffer(sha256(text.encode()).digest(), np.uint8)[:8].astype(np.float32) + 1 for text in texts]
        vectors = np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)
        return Embedded(vectors, sum(len(text.split()) for text in texts))


@dataclass(frozen=True)
class Manner:
    """How documents are made and how many at once; without one, as the daemon does."""

    preparer: Preparer
    ingesters: int = 4
    attempts: int = 1
    gather_s: float = GATHER_S


@dataclass
class Parts:
    """A running index and its ingesters over one store."""

    store: Store
    chroma: VectorStore
    index: Index
    embedder: HashEmbedder
    stage: EmbeddingStage
    ingester: Ingester
    mailbox: Mailbox

    async def source(self, folder: Path) -> SourceRecord:
        """Return the one folder source, made on first use."""
        known = await self.store.sources.by_name("folder")
        if known:
            return known
        settings = FolderSourceSettings(path=str(folder))
        return await self.store.sources.create("folder", "default_database", settings, MODEL, CHUNKING, "folder")

    async def invocation(self, record: SourceRecord, target: Target, **request: Any) -> Invocation:
        """Return an invocation that is not over, or a new one."""
        for invocation in await self.store.invocations.due(1):
            return invocation
        return await self.store.invocations.create(record.id, target, Origin.WATCH, asked(**request))

    async def sync(self, folder: Path, target: Target, guard: DeleteGuard | None = None, **request: Any) -> SourceRun:
        """Run the folder into the collection, to the end."""
        record = await self.source(folder)
        invocation = await self.invocation(record, target, **request)
        run = await self.begin(record, invocation, guard or DeleteGuard())
        await run.execute(FolderTreeSource(FolderSettings("folder", folder)))
        await self.store.invocations.settle(invocation.id, "complete", run.counts)
        return run

    async def begin(
        self, record: SourceRecord, invocation: Invocation, guard: DeleteGuard, config_hash: str = "recipe"
    ) -> SourceRun:
        """Open the invocation's collection and return its run, which is to be executed."""
        await self.store.invocations.start(invocation.id)
        opened = self.index.preview_collection if invocation.request.is_dry_run else self.index.open
        collection = await opened(invocation.target, record.embedding)
        return await self.run_of(record, invocation, collection, guard, config_hash)

    async def run_of(
        self,
        record: SourceRecord,
        invocation: Invocation,
        collection: CollectionRecord,
        guard: DeleteGuard,
        config_hash: str = "recipe",
    ) -> SourceRun:
        """Return the run of an invocation into a collection that is open: where runs are made, and nowhere else."""
        number = await self.store.progress.run_number(invocation.id)
        plan = RunPlan(number, record, collection, self.ingester.effects(invocation.request.is_dry_run), config_hash)
        return SourceRun(self.store, self.mailbox, invocation, plan, guard)


@asynccontextmanager
async def running(
    state: Path, server, prepare=lambda parts: None, manner: Manner | None = None, tracer: Tracer = UNTRACED
) -> AsyncIterator[Parts]:
    """Yield parts over `state` and a Chroma server. `prepare` may tamper with them before they run."""
    async with Chroma(ChromaSettings(server.host, server.port)) as chroma:
        await chroma.look()
        async with over(state, chroma, prepare, manner, tracer) as parts:
            yield parts


@asynccontextmanager
async def over(
    state: Path,
    vector_store: VectorStore,
    prepare=lambda parts: None,
    manner: Manner | None = None,
    tracer: Tracer = UNTRACED,
) -> AsyncIterator[Parts]:
    """Yield parts over `state` and a vector store, recovered and serving: where they are put together, and nowhere else."""
    async with AsyncExitStack() as stack:
        manner = manner or Manner(await stack.enter_async_context(DocumentPreparer()))
        store = await Store.open(state, TYPES)
        stack.push_async_callback(store.close)
        embedder = HashEmbedder()

        async def get(_name: str) -> HashEmbedder:
            return embedder

        index = Index(store, vector_store, lambda _record: None, gather_s=manner.gather_s)
        stage = EmbeddingStage(store, index.apply, get, tracer)
        room = DiskRoom(store.prepared, state, share=0.5)
        with_sparse_vectors = SparseEncoding(store, SparseModels()).with_sparse_vectors
        effects = RealEffects(store, index.apply, stage, with_sparse_vectors, room, tracer)
        ingester = Ingester(store, effects, stage, Preparation(lambda _source: manner.preparer, get))
        ingesters = Ingesters(ingester, SyncSettings(ingesters=manner.ingesters, document_attempts=manner.attempts))
        parts = Parts(store, vector_store, index, embedder, stage, ingester, ingesters.mailbox)
        prepare(parts)
        async with anyio.create_task_group() as group:
            await group.start(index.run)
            await group.start(stage.run)
            ingesters.start(group)
            yield parts
            group.cancel_scope.cancel()


def write(folder: Path, files: dict[str, str | None]) -> None:
    """Make the files of a folder so; None removes one."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)


def with_prefix(document, prefix: str):
    """Return the document under another chunk prefix."""
    return replace(document, chunk_prefix=prefix)
