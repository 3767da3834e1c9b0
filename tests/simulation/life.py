"""The daemon of a simulation: the real syncer, triggers, stages, index and collection watch, over faked effects."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from syncd.index.collection_watch import CollectionWatch, WatchSettings
from syncd.index.writer import Index
from syncd.model import Chunking, Embedding, Request, SourceRecord, WholeSource
from syncd.model.records import SourceWatch
from syncd.pipeline.disk import DiskRoom
from syncd.pipeline.effects import RealEffects
from syncd.pipeline.embedding_stage import EmbeddingStage
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.encoding import SparseEncoding
from syncd.runtime.actor import Actor
from syncd.runtime.wakeup import Wakeup
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.sync.deletes import DeleteGuard
from syncd.sync.runner import Runner
from syncd.sync.settings import SyncSettings
from syncd.sync.syncer import Syncer
from syncd.sync.triggers import Triggers
from tests.simulation.world import (
    DATABASE,
    LOOK_EVERY_S,
    JournalSource,
    LinePreparer,
    SimulatedModel,
    SimulatedStore,
    World,
)

SETTINGS = SyncSettings(guard=DeleteGuard(minimum=1 << 30))
WATCH = WatchSettings(check_s=600.0, probe_s=6 * 3600.0)
MODEL, CHUNKING = Embedding(model="hash"), Chunking()


@dataclass
class Life:
    """One life of the daemon, from its start to its crash or the end of the story."""

    world: World
    state: Path
    changed: dict[str, Wakeup]
    """Rung when a source has changed, by its name."""
    is_watched: bool = True
    """Whether the collection watch runs, which would heal much of what the order of effects is there to prevent."""

    async def live(self, story: Callable[[Store], Awaitable[None]]) -> None:
        """Run all actors, as the daemon's supervisor starts them, until the story is over."""
        store = await Store.open(self.state, TYPES)
        await self._declare(store)
        async with anyio.create_task_group() as group:
            for actor in self._actors(store):
                await group.start(actor.run)
            await story(store)
            group.cancel_scope.cancel()

    def _actors(self, store: Store) -> list[Actor]:
        target, model, wakeup = SimulatedStore(self.world), SimulatedModel(self.world), Wakeup()

        async def embedder(_name: str) -> SimulatedModel:
            return model

        async def opened(record: SourceRecord) -> JournalSource:
            return JournalSource(self.world, next(j for j in self.world.journals if j.name == record.name))

        index = Index(store, target, lambda _record: None)
        stage = EmbeddingStage(store, index.apply, embedder)
        sparse = SparseEncoding(store, SparseModels()).with_sparse_vectors
        effects = RealEffects(store, index.apply, stage, sparse, DiskRoom(store.prepared, self.state, share=0.5))
        ingester = Ingester(store, effects, stage, Preparation(lambda _source: LinePreparer(), embedder))
        triggers = Triggers(store, self._watch, wakeup.ring)
        syncer = Syncer(store, Runner(store, target, index, ingester, opened, SETTINGS), wakeup, [triggers.settled])
        watch = CollectionWatch(store, target, index, WATCH, lambda: 0)
        return [index, stage, syncer, triggers, *([watch] if self.is_watched else [])]

    async def _watch(self, record: SourceRecord, _report: object) -> AsyncGenerator[Request]:
        while True:
            yield WholeSource()
            await self.changed[record.name or ""].wait(LOOK_EVERY_S)

    async def _declare(self, store: Store) -> None:
        for journal in self.world.journals:
            if await store.sources.by_name(journal.name) is None:
                settings = FolderSourceSettings(
                    path=f"/{journal.name}", watch=SourceWatch(target_collection_name=journal.name)
                )
                await store.sources.create("folder", DATABASE, settings, MODEL, CHUNKING, journal.name)
