"""The parts of a daemon, each built once and complete, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from syncd.app.addresses import queries_of, warn_unrecorded
from syncd.app.declared_sources import reconcile
from syncd.app.models import Models, make_models, model_file
from syncd.app.preparers import open_preparers, preparing_workers
from syncd.app.settings import (
    machine_of,
    own_chroma,
    shadow_settings,
    sync_settings,
    tracer_of,
    vector_store_of,
    verify_interval_s,
    watch_settings,
)
from syncd.app.upkeep import Leftovers, Sweeper, make_admin_token
from syncd.app.webhooks import webhook_filters, webhooks_of
from syncd.chroma.client import Chroma
from syncd.chroma.server import ChromaServer
from syncd.config import Config
from syncd.index.collection_watch import CollectionWatch
from syncd.index.query_functions import QueryRecorder
from syncd.index.scheduled_verify import ScheduledVerifier
from syncd.index.sparse_backfill import SparseBackfill
from syncd.index.verify import Verifier
from syncd.index.writer import Index
from syncd.model import Embedder, Preparer, SourceRecord
from syncd.pipeline.disk import DiskRoom
from syncd.pipeline.effects import RealEffects
from syncd.pipeline.embedding_stage import EmbeddingStage
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.ray.preparing import RayPreparers
from syncd.pipeline.sparse.encoding import SparseEncoding
from syncd.pipeline.tracing import Tracer
from syncd.runtime.actor import Actor
from syncd.runtime.wakeup import Wakeup
from syncd.search import Search, SearchOptions
from syncd.search.compared import compared
from syncd.search.read_ahead import ReadAhead
from syncd.sources.factories import SourceFactories
from syncd.sources.type import SourceTypes
from syncd.store import Store
from syncd.sync.explain import Explainer
from syncd.sync.freshness import standings
from syncd.sync.late_sources import LateSources
from syncd.sync.runner import Runner
from syncd.sync.shadow_keeper import ShadowKeeper
from syncd.sync.syncer import Syncer
from syncd.sync.triggers import Triggers
from syncd.sync.webhook_sender import WebhookSender

if TYPE_CHECKING:
    from syncd.qdrant.client import Qdrant


@dataclass(frozen=True, slots=True)
class Parts:
    """What works in a daemon, behind its API."""

    models: Models
    store: Store
    sources: SourceFactories
    chroma_server: ChromaServer | None
    """Our own, unless the configuration names another."""
    vector_store: Chroma | Qdrant
    index: Index
    room: DiskRoom
    stage: EmbeddingStage
    tracer: Tracer
    syncer: Syncer
    triggers: Triggers
    search: Search
    shadows: ShadowKeeper
    preparers: RayPreparers | None
    """Workers of a cluster, if there is one."""
    explainer: Explainer
    webhooks: WebhookSender
    upkeep: Sequence[Actor]
    """Whatever goes on beside runs and requests."""


@asynccontextmanager
async def open_parts(config: Config, state: Path, types: SourceTypes, api_url: str) -> AsyncGenerator[Parts]:
    """Yield the parts, none of them running yet; `api_url` is where the API will be. Raises ConfigError."""
    async with AsyncExitStack() as stack:
        tracer = tracer_of(config)
        stack.push_async_callback(tracer.close)
        models = make_models(config, state)
        store = await Store.open(state, types)
        stack.push_async_callback(store.close)
        await store.credentials.keep_out_of_messages()
        wakeup = Wakeup()
        machine = machine_of(config, state, store, wakeup.ring)
        sources = await stack.enter_async_context(SourceFactories(types, machine))
        await store.webhooks.subscribe(webhook_filters(config))
        await reconcile(store, config.sources, config.embedding.default_model)
        await make_admin_token(store, state)
        tracer.know(*await store.sources.list(limit=-1), *await store.collections.all())
        chroma_server = own_chroma(config, state)
        vector_store = await stack.enter_async_context(vector_store_of(config, chroma_server))
        workers = preparing_workers(config)
        preparers = await stack.enter_async_context(open_preparers(config, workers))
        warn_unrecorded(config)
        queries = partial(queries_of, config, api_url)
        room = DiskRoom(store.prepared, state, config.sync.prepared_disk_share, config.sync.disk_reserve_bytes)
        index = Index(store, vector_store, queries, to_go_on=room.to_go_on)
        stage = EmbeddingStage(store, index.apply, with_room(room, models.dense.get), tracer)
        with_sparse_vectors = SparseEncoding(store, models.sparse).with_sparse_vectors
        effects = RealEffects(store, index.apply, stage, with_sparse_vectors, room, tracer)
        preparation = make_preparation(config, models, preparers)
        ingester = Ingester(store, effects, stage, preparation)
        triggers = Triggers(store, sources.watch, wakeup.ring)
        runner = Runner(store, vector_store, index, ingester, sources.open, sync_settings(config))
        options = SearchOptions(config.search.limit_s, models.reranker)
        search = Search(store, vector_store, models.dense.get, models.sparse, index.damaged, options)
        compare = partial(compared, store, search.search)
        shadows = ShadowKeeper(store, index, compare, shadow_settings(config), wakeup.ring)
        webhooks = WebhookSender(store, webhooks_of(config))
        yield Parts(
            models=models,
            store=store,
            sources=sources,
            chroma_server=chroma_server,
            vector_store=vector_store,
            index=index,
            room=room,
            stage=stage,
            tracer=tracer,
            syncer=Syncer(store, runner, wakeup, [*sources.settled, triggers.settled]),
            triggers=triggers,
            search=search,
            shadows=shadows,
            preparers=workers,
            explainer=Explainer(store, vector_store, sources.open, preparation),
            webhooks=webhooks,
            upkeep=(
                SparseBackfill(store, models.sparse.of, index.flush),
                ReadAhead(store, search),
                QueryRecorder(store, vector_store, queries),
                CollectionWatch(
                    store, vector_store, index, watch_settings(config), partial(stops_of, vector_store, chroma_server)
                ),
                ScheduledVerifier(
                    store,
                    vector_store,
                    Verifier(store, vector_store, index),
                    verify_interval_s(config),
                    lambda: chroma_server.unclean_stops if chroma_server else 0,
                    chroma_server.note_compared if chroma_server else lambda _: None,
                ),
                Sweeper(store, config),
                Leftovers(store, index),
                shadows,
                webhooks,
                *([workers] if workers else ()),
                *([LateSources(store, lambda: standings(store, triggers.states()))] if config.webhooks else ()),
            ),
        )


def with_room(room: DiskRoom, get: Callable[[str], Awaitable[Embedder]]) -> Callable[[str], Awaitable[Embedder]]:
    """Return what finds a model, by name, for texts whose vectors there has to be room for on disk."""

    async def embedder(name: str) -> Embedder:
        await room.to_go_on()
        return await get(name)

    return embedder


def make_preparation(config: Config, models: Models, preparers: Callable[[SourceRecord], Preparer]) -> Preparation:
    """Return what turns documents into chunks."""
    return Preparation(
        preparer=preparers,
        embedder=models.dense.get,
        model_file=partial(model_file, config),
        max_text_in_flight_bytes=config.sync.max_text_in_flight_bytes,
    )


def stops_of(vector_store: Chroma | Qdrant, server: ChromaServer | None) -> int:
    """Return how often the vector store stopped, as far as that was noticed: its index files may have been damaged each time."""
    return vector_store.outages + (server.unclean_stops if server else 0)
