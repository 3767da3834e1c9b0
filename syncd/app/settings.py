"""Translates the configuration into the settings of the daemon's parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from syncd.app.addresses import other_people
from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.config import Config
from syncd.errors import ConfigError
from syncd.index.collection_watch import WatchSettings
from syncd.model.formats import document_suffixes
from syncd.pipeline.tracing import UNTRACED, Tracer
from syncd.redaction import register_secret
from syncd.runtime.state import CHROMA_FOLDER
from syncd.sources.factory import Machine
from syncd.store import Store
from syncd.sync.deletes import DeleteGuard
from syncd.sync.settings import SyncSettings
from syncd.sync.shadow_keeper import ShadowSettings

if TYPE_CHECKING:
    from syncd.qdrant.client import Qdrant


def own_chroma(config: Config, state: Path) -> ChromaServer | None:
    """Return our own Chroma server, None where the configuration names another store; it gets half of the deadline to stop, because draining may use the other half.

    A configured port is for clients, so it is open to all of the machine. Without one, where other people can log in, clients come
    through our own API, with a token.
    """
    if config.qdrant.url is not None or config.chroma.mode != "local":
        return None
    port, stop_limit_s = config.chroma.port or None, config.stop_deadline_s / 2
    is_private = port is None and bool(other_people())
    return ChromaServer(state / CHROMA_FOLDER, port, is_private=is_private, stop_limit_s=stop_limit_s)


def register_secrets(config: Config) -> None:
    """Register the configuration's secrets, so that they are kept out of the log."""
    for secret in (config.chroma.api_key, *config.chroma.headers.values(), config.qdrant.api_key):
        if secret is not None:
            register_secret(secret.get_secret_value())


def chroma_settings(config: Config, server: ChromaServer | None) -> ChromaSettings:
    """Return how Chroma is reached."""
    given = config.chroma
    if given.mode == "cloud" and given.api_key:
        return ChromaSettings.cloud(given.tenant, given.api_key.get_secret_value())
    if server is not None:
        return ChromaSettings(port=server.port, tenant=given.tenant, network=server.network)
    headers = {name: value.get_secret_value() for name, value in given.headers.items()}
    return ChromaSettings(given.host, given.port, given.ssl, headers, given.tenant)


def vector_store_of(config: Config, server: ChromaServer | None) -> Chroma | Qdrant:
    """Return the client of the vector store; `server` is our own Chroma. Raises ConfigError if a package is not installed, or the address is none."""
    given = config.qdrant
    if given.url is None:
        return Chroma(chroma_settings(config, server), *((server.suspect,) if server else ()))
    try:
        from syncd.qdrant.client import Qdrant
        from syncd.qdrant.connection import QdrantSettings
    except ImportError as error:
        raise ConfigError(
            f"qdrant.url needs the extra qdrant, which is not installed ({error}): pip install 'syncd[qdrant]'"
        ) from error
    key = given.api_key.get_secret_value() if given.api_key else None
    try:
        return Qdrant(QdrantSettings(given.url, key, given.shards, given.replicas, given.on_disk))
    except ValueError as error:
        raise ConfigError(f"qdrant.url = {given.url!r} is no address ({error}); correct it") from error


def tracer_of(config: Config) -> Tracer:
    """Return what traces documents. Raises ConfigError if a package is not installed."""
    given = config.tracing
    if given.endpoint is None:
        return UNTRACED
    try:
        from syncd.pipeline.otlp import OtlpTracer
    except ImportError as error:
        raise ConfigError(
            f"tracing.endpoint needs the extra otel, which is not installed ({error}): pip install 'syncd[otel]'"
        ) from error
    return OtlpTracer(given.endpoint, given.sampled_share)


def watch_settings(config: Config) -> WatchSettings:
    """Return how often collections are looked at, and when they are rebuilt to free space; Chroma Cloud and Qdrant do that themselves."""
    care, given = config.care, config.chroma
    compact_above = None if care is not given or given.mode == "cloud" else given.compact_above
    return WatchSettings(care.check_interval_s, care.probe_interval_s, compact_above)


def shadow_settings(config: Config) -> ShadowSettings:
    """Return when a collection that was built anew takes its place by itself, and how long the former one is kept."""
    return ShadowSettings(config.search.max_quality_loss, timedelta(days=config.care.keep_former_days).total_seconds())


def verify_interval_s(config: Config) -> float | None:
    """Return how often a part of every collection is verified, None for never: Chroma Cloud bills what is read."""
    return (config.care.verify_interval_s or None) if config.chroma.mode != "cloud" else None


def machine_of(config: Config, state: Path, store: Store, wake: Callable[[], None]) -> Machine:
    """Return what the source types need to know. `wake` notifies the Syncer of new invocations."""
    return Machine(
        state=state,
        store=store,
        sections=config.sections,
        document_suffixes=document_suffixes(),
        wake=wake,
    )


def sync_settings(config: Config) -> SyncSettings:
    """Return the limits of concurrent work."""
    given = config.sync
    guard = DeleteGuard(given.delete_guard_share, given.delete_guard_minimum)
    return SyncSettings(runs=given.runs, ingesters=given.ingesters, guard=guard)
