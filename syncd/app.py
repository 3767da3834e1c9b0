"""The composition root: configuration → parts → tree → exit status. Read this first, then sync.py, then pipeline/ingest.py."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import structlog

from syncd import __version__
from syncd.api import ApiServer, create_app, orphans
from syncd.app_documents import open_parsers
from syncd.app_models import catalog_of, engine_options, servers_by_model, sparse_loaders
from syncd.app_services import make_services, queries_of, warn_unrecorded
from syncd.chroma.client import Chroma, ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.config import Config
from syncd.declared import reconcile
from syncd.errors import ConfigError
from syncd.log import register_secret
from syncd.model import Invocation, State
from syncd.opening import Opening, OpeningSettings
from syncd.opening.buckets import QueueRules, Queues
from syncd.opening.repositories import GithubAccess
from syncd.opening.sites import SiteRules
from syncd.pipeline.chunk.languages import SUFFIXES as CODE_SUFFIXES
from syncd.pipeline.chunk.pool import ChunkerPool
from syncd.pipeline.embed.fleet import Embedders
from syncd.pipeline.index import Index
from syncd.pipeline.ingest import Ingester
from syncd.pipeline.parse.formats import SUFFIXES as DOCUMENT_SUFFIXES
from syncd.pipeline.recorder import QueryRecorder
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.pipeline.sparse.filler import SparseFiller
from syncd.pipeline.sparse.posting import Poster
from syncd.run import DeleteGuard
from syncd.runtime.actor import Actor
from syncd.runtime.notify import Notifier, Watchdog
from syncd.runtime.signals import watch_signals
from syncd.runtime.state import state_folder
from syncd.runtime.supervisor import EscalatedError, Supervisor
from syncd.search import Search
from syncd.store import Store
from syncd.sync import Syncer, SyncSettings
from syncd.triggers import Triggers

log = structlog.get_logger()

DAEMON_FILE = "daemon.json"
SOCKET_FILE = "api.sock"
TOKEN_FILE = "token"  # noqa: S105 - a file name
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """The parts of a running daemon."""

    store: Store
    chroma: Chroma
    index: Index
    syncer: Syncer
    triggers: Triggers
    queues: Queues
    api: ApiServer
    root: Supervisor


async def serve(config: Config, reload: Callable[[], Config], ready: Callable[[Daemon], None] = lambda _: None) -> int:
    """Run the daemon until it is told to stop and return its exit status. Raises ConfigError when it cannot run like this."""
    register_secrets(config)
    with state_folder(config.state_folder) as state:
        notifier = Notifier()
        async with assembled(config, state, notifier) as daemon, anyio.create_task_group() as group:
            stop = anyio.Event()
            group.start_soon(
                partial(watch_signals, deadline_s=config.stop_deadline_s),
                stop.set,
                partial(refresh, daemon, reload, notifier),
            )
            group.start_soon(stop_politely, daemon, stop, group.cancel_scope, config.stop_deadline_s, notifier)
            try:
                with anyio.CancelScope():
                    await group.start(daemon.root.run)
                    announce(state, daemon)
                    notifier.ready()
                    log.info("daemon.ready", url=url_of(daemon), state=str(state), version=__version__)
                    ready(daemon)
                    await anyio.sleep_forever()
            except EscalatedError as error:
                if isinstance(error.__cause__, ConfigError):
                    raise error.__cause__ from None
                log.critical("daemon.gave_up", reason=str(error.__cause__ or error))
                return 1
    return 0


@asynccontextmanager
async def assembled(config: Config, state: Path, notifier: Notifier) -> AsyncGenerator[Daemon]:
    """Yield all parts, put together and not yet running."""
    async with AsyncExitStack() as stack:
        store = await Store.open(state)
        stack.push_async_callback(store.close)
        opening = await stack.enter_async_context(Opening(opening_settings(config, state), store))
        await drop_orphans(store, opening)
        await reconcile(store, config.sources, config.embedding.default_model)
        await make_admin_token(store, state)
        server = own_chroma(config, state) if config.chroma.mode == "local" else None
        chroma = await stack.enter_async_context(Chroma(chroma_settings(config, server)))
        models = Supervisor("models", max_restarts=10)
        catalog = catalog_of(config)
        embedders = Embedders(
            catalog,
            config.embedding.models_dir or state / "models",
            partial(engine_options, config),
            models,
            servers_by_model(config, catalog),
        )
        parsers = await stack.enter_async_context(open_parsers(config, frozenset(CODE_SUFFIXES)))
        chunkers = ChunkerPool()
        api_box: list[ApiServer] = []
        sparse = SparseModels(config.search.sparse_default, sparse_loaders(config, state))
        poster = Poster(store, sparse)
        queries = partial(queries_of, config, api_box)
        warn_unrecorded(config)
        index = Index(store, chroma, queries)
        ingester = Ingester(
            store, index, parsers, chunkers, embedders.get, poster.posted, config.sync.max_text_in_flight_bytes
        )
        syncer = Syncer(
            store, chroma, index, ingester, opening.open, sync_settings(config), partial(clean_up, store, opening)
        )
        opening.buckets.wake = syncer.wake
        triggers, queues = Triggers(store, opening, syncer.wake), Queues(opening.buckets)
        search = Search(store, chroma, embedders.get, sparse.of)
        services = make_services(
            config, store, chroma, index, syncer, (triggers, queues), opening, search, embedders, catalog, sparse
        )
        api = ApiServer(create_app(services), config.api.host, config.api.port, socket=state / SOCKET_FILE)
        api_box.append(api)
        parts: list[Actor] = [chroma, chunkers, models, api, index, syncer, triggers, queues]
        parts += [
            SparseFiller(store, sparse, index.tell),
            QueryRecorder(store, chroma, queries),
            Sweeper(store, config),
        ]
        root = Supervisor("daemon", [*([server] if server else []), *parts, Watchdog(notifier)], max_restarts=10)
        yield Daemon(store, chroma, index, syncer, triggers, queues, api, root)


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
    except ConfigError as error:
        log.error("config.refused", reason=str(error))
    else:
        await reconcile(daemon.store, config.sources, config.embedding.default_model)
        daemon.triggers.sources_changed()
        daemon.queues.sources_changed()
    notifier.ready()


class Sweeper:
    """Once a day, drops cached vectors that nothing has used for long."""

    name = "sweeper"

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._unused_for_s = config.sync.cache_unused_days * DAY_S

    async def run(self) -> None:
        """Sweep daily until cancelled."""
        while True:
            await anyio.sleep(DAY_S)
            dropped = await self._store.vectors.collect_garbage(self._unused_for_s)
            log.info("cache.swept", dropped=dropped)


async def clean_up(store: Store, opening: Opening, invocation: Invocation) -> None:
    """Tell who waits for an invocation; delete its uploaded file, but keep that of a failed one for a retry."""
    await opening.buckets.journal.over(invocation)
    if (name := invocation.request.get("file")) is None:
        return
    now = await store.invocations.get(invocation.id)
    if now is not None and now.state in (State.COMPLETE, State.CANCELLED):
        with suppress(OSError):
            (opening.upload_folder / name).unlink()


async def drop_orphans(store: Store, opening: Opening) -> None:
    """Delete uploaded files that no invocation needs: left by a crash before the invocation, or by one that is over."""
    owned = await store.invocations.files_needed()
    for file in orphans(opening.upload_folder, owned):
        log.info("upload.orphan_removed", file=file.name)
        file.unlink()


async def make_admin_token(store: Store, state: Path) -> None:
    """Make the token that the command line uses, once, in a file only this user can read."""
    file = state / TOKEN_FILE
    if file.exists() and await store.tokens.verify(file.read_text().strip()):
        return
    token = await store.tokens.create("command line")
    register_secret(token)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(token + "\n")


def announce(state: Path, daemon: Daemon) -> None:
    """Write where the daemon listens, for the command line."""
    chroma = daemon.chroma.settings
    text = json.dumps({"url": url_of(daemon), "pid": os.getpid(), "chroma": {"host": chroma.host, "port": chroma.port}})
    (state / DAEMON_FILE).write_text(text + "\n")


def url_of(daemon: Daemon) -> str:
    """Return the API's address."""
    host, port = daemon.api.address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def own_chroma(config: Config, state: Path) -> ChromaServer:
    """Return our own Chroma server; it gets half of the deadline to stop, as draining gets the other half at most."""
    return ChromaServer(state / "chroma", config.chroma.port or None, stop_limit_s=config.stop_deadline_s / 2)


def register_secrets(config: Config) -> None:
    """Keep what the configuration holds in confidence out of the log."""
    for secret in (config.chroma.api_key, *config.chroma.headers.values()):
        if secret is not None:
            register_secret(secret.get_secret_value())


def chroma_settings(config: Config, server: ChromaServer | None) -> ChromaSettings:
    """Return how Chroma is reached."""
    given = config.chroma
    if given.mode == "cloud" and given.api_key:
        return ChromaSettings.cloud(given.tenant, given.api_key.get_secret_value())
    if server is not None:
        return ChromaSettings(port=server.port, tenant=given.tenant)
    headers = {name: value.get_secret_value() for name, value in given.headers.items()}
    return ChromaSettings(given.host, given.port, given.ssl, headers, given.tenant)


def opening_settings(config: Config, state: Path) -> OpeningSettings:
    """Return what sources need to know."""
    github = GithubAccess(
        base_url=config.github.base_url,
        api_url=config.github.api_url,
        apps={app.app_id: app.private_key_file for app in config.github.apps},
        max_file_size_bytes=config.github.max_file_size_bytes,
    )
    sites = SiteRules(
        contact=config.web.contact,
        concurrency=config.web.concurrency,
        rate_per_s=config.web.rate_per_s,
        allow_private_addresses=config.web.allow_private_addresses,
    )
    return OpeningSettings(
        state=state,
        github=github,
        sites=sites,
        queues=QueueRules(config.s3.queue_url, config.s3.visibility_s),
        folder_max_file_size_bytes=config.folder.max_file_size_bytes,
        document_suffixes=frozenset(DOCUMENT_SUFFIXES),
    )


def sync_settings(config: Config) -> SyncSettings:
    """Return how much goes on at once."""
    given = config.sync
    guard = DeleteGuard(given.delete_guard_share, given.delete_guard_minimum)
    return SyncSettings(runs=given.runs, ingesters=given.ingesters, guard=guard)
