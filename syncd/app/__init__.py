"""The composition root: configuration → parts → tree → exit status. Read this first, then sync/syncer.py, then pipeline/ingest.py."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import structlog

from syncd import __version__
from syncd.api import ApiServer, create_app
from syncd.api.chroma_gateway import ChromaGateway, NoGateway
from syncd.app.addresses import store_place, warn_open_chroma
from syncd.app.declared_sources import reconcile
from syncd.app.models import check_models, splade_folder
from syncd.app.parts import Parts, open_parts
from syncd.app.services import make_services
from syncd.app.settings import register_secrets
from syncd.chroma.client import Chroma
from syncd.chroma.server import ChromaServer
from syncd.config import Config
from syncd.errors import ConfigError, StoreDamagedError
from syncd.mcp import McpEndpoint
from syncd.runtime.actor import Actor
from syncd.runtime.notify import Notifier, Watchdog
from syncd.runtime.signals import watch_signals
from syncd.runtime.sockets import bound
from syncd.runtime.state import DAEMON_FILE, SOCKET_FILE, scratch_folder, state_folder
from syncd.runtime.supervisor import EscalatedError, Supervisor
from syncd.sources.registry import TYPES
from syncd.sources.type import SourceTypes
from syncd.sources.upload.files import upload_folder

if TYPE_CHECKING:
    from syncd.qdrant.client import Qdrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon: its parts, where its API is, and the root of the tree of actors."""

    parts: Parts
    url: str
    root: Supervisor


async def serve(
    config: Config,
    reload: Callable[[], Config],
    ready: Callable[[Daemon], None] = lambda _: None,
    types: SourceTypes = TYPES,
) -> int:
    """Run the daemon until it is told to stop and return its exit status. Raises ConfigError if the configuration cannot work,
    or the state database is damaged.
    """
    register_secrets(config)
    given_up: EscalatedError | None = None
    # Of what the daemon and its children make, nothing is other users'.
    os.umask(0o077)
    with state_folder(config.state_folder) as state, scratch_folder(state):
        notifier = Notifier()
        try:
            async with assembled(config, state, notifier, types) as daemon:
                try:
                    await run_daemon(daemon, config, state, notifier, reload, ready)
                except* EscalatedError as errors:
                    given_up = cast("EscalatedError", errors.exceptions[0])
        except StoreDamagedError as error:
            raise ConfigError(str(error)) from error
    if given_up is None:
        return 0
    if isinstance(given_up.__cause__, ConfigError | StoreDamagedError):
        raise ConfigError(str(given_up.__cause__)) from given_up
    log.critical("daemon.gave_up", reason=str(given_up.__cause__ or given_up))
    return 1


async def run_daemon(
    daemon: Daemon,
    config: Config,
    state: Path,
    notifier: Notifier,
    reload: Callable[[], Config],
    ready: Callable[[Daemon], None],
) -> None:
    """Start the actors, announce the address, and handle signals until told to stop. Raises a group of one EscalatedError."""
    async with anyio.create_task_group() as group:
        stop = anyio.Event()
        on_reload = partial(refresh, daemon, reload, notifier)
        group.start_soon(partial(watch_signals, deadline_s=config.stop_deadline_s), stop.set, on_reload)
        group.start_soon(stop_politely, daemon, stop, group.cancel_scope, config.stop_deadline_s, notifier)
        await group.start(daemon.root.run)
        if daemon.parts.chroma_server is not None:
            warn_open_chroma(daemon.parts.chroma_server)
        announce(state, daemon)
        notifier.ready()
        log.info("daemon.ready", url=daemon.url, state=str(state), version=__version__)
        ready(daemon)


@asynccontextmanager
async def assembled(config: Config, state: Path, notifier: Notifier, types: SourceTypes) -> AsyncGenerator[Daemon]:
    """Yield the daemon, fully wired but not yet running."""
    async with (
        bound(config.api.host, config.api.port) as sockets,
        open_parts(config, state, types, sockets.url) as parts,
    ):
        folders = splade_folder(config, state), upload_folder(state)
        services = make_services(config, parts, *folders, sockets.url, lambda: root)
        agents = McpEndpoint(services)
        app = create_app(services, [agents.route], gateway_to(parts.vector_store))
        api = ApiServer(app, sockets, socket=state / SOCKET_FILE)
        # Started in this order, stopped in reverse: each needs those before it.
        actors: list[Actor] = [chroma_supervisor(parts.chroma_server)] if parts.chroma_server else []
        actors += [parts.vector_store, parts.models.supervisor, agents, api, parts.index, parts.stage]
        actors += [parts.syncer, parts.triggers]
        actors += [parts.models.reranker] if parts.models.reranker else []
        actors += [*parts.sources.actors(), *parts.upkeep, Watchdog(notifier)]
        root = Supervisor("daemon", actors, max_restarts=10)
        yield Daemon(parts, sockets.url, root)


def gateway_to(vector_store: Chroma | Qdrant) -> ChromaGateway | NoGateway:
    """Return what answers Chroma's clients."""
    return ChromaGateway(vector_store.settings) if isinstance(vector_store, Chroma) else NoGateway("Qdrant")


def chroma_supervisor(server: ChromaServer) -> Supervisor:
    """Return the supervisor of our own Chroma, which may die again and again until the collection that it dies of is rebuilt."""
    return Supervisor("chroma-server", [server], max_restarts=30)


async def stop_politely(
    daemon: Daemon, stop: anyio.Event, scope: anyio.CancelScope, deadline_s: float, notifier: Notifier
) -> None:
    """Wait for `stop`; then start no new work, let documents in progress finish, and stop the actors in reverse order."""
    await stop.wait()
    notifier.stopping()
    with anyio.move_on_after(deadline_s / 2):
        await daemon.parts.syncer.drain()
    scope.cancel()


async def refresh(daemon: Daemon, reload: Callable[[], Config], notifier: Notifier) -> None:
    """Read the configuration again and reconcile the declared sources; with an error in it, keep the old one."""
    notifier.reloading()
    try:
        config = await anyio.to_thread.run_sync(reload)
        check_models(config, daemon.parts.models.catalog)
    except ConfigError as error:
        log.error("config.refused", reason=str(error))
    else:
        await reconcile(daemon.parts.store, config.sources, config.embedding.default_model)
        daemon.parts.syncer.wake()
        daemon.parts.triggers.sources_changed()
        daemon.parts.sources.sources_changed()
        daemon.parts.shadows.look()
    notifier.ready()


def announce(state: Path, daemon: Daemon) -> None:
    """Write where the daemon listens, for the command line."""
    place = store_place(daemon.parts.vector_store, daemon.parts.chroma_server, daemon.url)
    text = json.dumps({"url": daemon.url, "pid": os.getpid(), **place})
    # Whoever waits for the file may read it the moment it is there.
    written = state / f"{DAEMON_FILE}.new"
    written.write_text(text + "\n")
    written.replace(state / DAEMON_FILE)
