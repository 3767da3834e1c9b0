"""The composition root: configuration → parts → tree → exit status. Read this first, then sync.py, then pipeline/ingest.py."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import structlog

from syncd import __version__
from syncd.api import ApiServer, create_app
from syncd.app.declared_sources import reconcile
from syncd.app.models import (
    catalog_of,
    check_models,
    engine_options,
    model_file,
    servers_by_model,
    sparse_loaders,
    splade_folder,
)
from syncd.app.preparers import open_preparers
from syncd.app.services import PartsBehindApi, make_services, queries_of, warn_unrecorded
from syncd.app.settings import chroma_settings, machine_of, own_chroma, register_secrets, sync_settings
from syncd.app.upkeep import Sweeper, make_admin_token
from syncd.chroma.client import Chroma
from syncd.config import Config
from syncd.errors import ConfigError
from syncd.index.collection_watch import CollectionWatch
from syncd.index.query_functions import QueryRecorder
from syncd.index.sparse_backfill import SparseBackfill
from syncd.index.writer import Index
from syncd.pipeline.disk import DiskRoom
from syncd.pipeline.effects import RealEffects
from syncd.pipeline.embed.catalog import Catalog
from syncd.pipeline.embed.fleet import Embedders
from syncd.pipeline.embedding_stage import EmbeddingStage
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.encoding import SparseEncoding
from syncd.runtime.actor import Actor
from syncd.runtime.notify import Notifier, Watchdog
from syncd.runtime.signals import watch_signals
from syncd.runtime.state import DAEMON_FILE, SOCKET_FILE, state_folder
from syncd.runtime.supervisor import EscalatedError, Supervisor
from syncd.runtime.wakeup import Wakeup
from syncd.search import Search
from syncd.sources.factories import SourceFactories
from syncd.sources.registry import TYPES
from syncd.sources.type import SourceTypes
from syncd.sources.upload.files import upload_folder
from syncd.store import Store
from syncd.sync.runner import Runner
from syncd.sync.syncer import Syncer
from syncd.sync.triggers import Triggers

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Daemon:
    """The parts of a running daemon."""

    store: Store
    chroma: Chroma
    index: Index
    syncer: Syncer
    triggers: Triggers
    sources: SourceFactories
    api: ApiServer
    catalog: Catalog
    root: Supervisor


async def serve(
    config: Config,
    reload: Callable[[], Config],
    ready: Callable[[Daemon], None] = lambda _: None,
    types: SourceTypes = TYPES,
) -> int:
    """Run the daemon until it is told to stop and return its exit status. Raises ConfigError when it cannot run like this."""
    register_secrets(config)
    given_up: EscalatedError | None = None
    with state_folder(config.state_folder) as state:
        notifier = Notifier()
        async with assembled(config, state, notifier, types) as daemon:
            try:
                await run(daemon, config, state, notifier, reload, ready)
            except* EscalatedError as errors:
                given_up = cast("EscalatedError", errors.exceptions[0])
    if given_up is None:
        return 0
    if isinstance(given_up.__cause__, ConfigError):
        raise given_up.__cause__
    log.critical("daemon.gave_up", reason=str(given_up.__cause__ or given_up))
    return 1


async def run(
    daemon: Daemon,
    config: Config,
    state: Path,
    notifier: Notifier,
    reload: Callable[[], Config],
    ready: Callable[[Daemon], None],
) -> None:
    """Start the actors, say so, and attend to signals until told to stop. Raises a group of one EscalatedError."""
    async with anyio.create_task_group() as group:
        stop = anyio.Event()
        on_reload = partial(refresh, daemon, reload, notifier)
        group.start_soon(partial(watch_signals, deadline_s=config.stop_deadline_s), stop.set, on_reload)
        group.start_soon(stop_politely, daemon, stop, group.cancel_scope, config.stop_deadline_s, notifier)
        await group.start(daemon.root.run)
        announce(state, daemon)
        notifier.ready()
        log.info("daemon.ready", url=url_of(daemon), state=str(state), version=__version__)
        ready(daemon)


@asynccontextmanager
async def assembled(config: Config, state: Path, notifier: Notifier, types: SourceTypes) -> AsyncGenerator[Daemon]:
    """Yield all parts, put together and not yet running."""
    catalog = catalog_of(config)
    check_models(config, catalog)
    async with AsyncExitStack() as stack:
        store = await Store.open(state, types)
        stack.push_async_callback(store.close)
        wakeup = Wakeup()
        machine = machine_of(config, state, store, wakeup.ring)
        sources = await stack.enter_async_context(SourceFactories(types, machine))
        await reconcile(store, config.sources, config.embedding.default_model)
        await make_admin_token(store, state)
        server = own_chroma(config, state) if config.chroma.mode == "local" else None
        chroma = await stack.enter_async_context(Chroma(chroma_settings(config, server)))
        models = Supervisor("models", max_restarts=10)
        embedders = Embedders(
            catalog,
            config.embedding.models_dir or state / "models",
            partial(engine_options, config),
            models,
            servers_by_model(config, catalog),
        )
        preparers = await stack.enter_async_context(open_preparers(config))
        api_box: list[ApiServer] = []
        sparse = SparseModels(config.search.sparse_default, sparse_loaders(config, state, models))
        sparse_encoding = SparseEncoding(store, sparse)
        queries = partial(queries_of, config, api_box)
        warn_unrecorded(config)
        index = Index(store, chroma, queries)
        preparation = Preparation(
            preparers, embedders.get, partial(model_file, config), config.sync.max_text_in_flight_bytes
        )
        stage = EmbeddingStage(store, index.apply, embedders.get)
        room = DiskRoom(store.prepared, state, config.sync.prepared_disk_share)
        effects = RealEffects(store, index.apply, stage, sparse_encoding.with_sparse_vectors, room)
        ingester = Ingester(store, effects, stage, preparation)
        runner = Runner(store, chroma, index, ingester, sources.open, sync_settings(config))
        syncer = Syncer(store, runner, wakeup, sources.settled)
        triggers = Triggers(store, sources.watch, wakeup.ring)
        search = Search(store, chroma, embedders.get, sparse)
        behind_api = PartsBehindApi(
            store=store,
            chroma=chroma,
            index=index,
            syncer=syncer,
            triggers=triggers,
            sources=sources,
            search=search,
            embedders=embedders,
            catalog=catalog,
            sparse=sparse,
        )
        services = make_services(config, behind_api, splade_folder(config, state), upload_folder(state))
        api = ApiServer(create_app(services), config.api.host, config.api.port, socket=state / SOCKET_FILE)
        api_box.append(api)
        parts: list[Actor] = [chroma, models, api, index, stage, syncer, triggers, *sources.actors()]
        parts += [
            SparseBackfill(store, sparse.of, index.flush),
            QueryRecorder(store, chroma, queries),
            CollectionWatch(store, chroma, index),
            Sweeper(store, config),
        ]
        root = Supervisor("daemon", [*([server] if server else []), *parts, Watchdog(notifier)], max_restarts=10)
        yield Daemon(store, chroma, index, syncer, triggers, sources, api, catalog, root)


async def stop_politely(
    daemon: Daemon, stop: anyio.Event, scope: anyio.CancelScope, deadline_s: float, notifier: Notifier
) -> None:
    """When asked to stop: take up nothing new, let documents in hand finish, then stop the actors in reverse order."""
    await stop.wait()
    notifier.stopping()
    with anyio.move_on_after(deadline_s / 2):
        await daemon.syncer.drain()
    scope.cancel()


async def refresh(daemon: Daemon, reload: Callable[[], Config], notifier: Notifier) -> None:
    """Read the configuration again and reconcile the declared sources; with an error in it, keep the old one."""
    notifier.reloading()
    try:
        config = await anyio.to_thread.run_sync(reload)
        check_models(config, daemon.catalog)
    except ConfigError as error:
        log.error("config.refused", reason=str(error))
    else:
        await reconcile(daemon.store, config.sources, config.embedding.default_model)
        daemon.triggers.sources_changed()
        daemon.sources.sources_changed()
    notifier.ready()


def announce(state: Path, daemon: Daemon) -> None:
    """Write where the daemon listens, for the command line."""
    chroma = daemon.chroma.settings
    text = json.dumps({"url": url_of(daemon), "pid": os.getpid(), "chroma": {"host": chroma.host, "port": chroma.port}})
    # Whoever waits for the file may read it the moment it is there.
    written = state / f"{DAEMON_FILE}.new"
    written.write_text(text + "\n")
    written.replace(state / DAEMON_FILE)


def url_of(daemon: Daemon) -> str:
    """Return the API's address."""
    host, port = daemon.api.address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
