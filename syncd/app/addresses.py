"""Where others reach this daemon: what collections record, and what clients may call it."""

from __future__ import annotations

from urllib.parse import urlsplit

import structlog

from syncd.chroma.shape import ANY_KEY, queries_path
from syncd.config import Config
from syncd.model import QueryFunction
from syncd.store.collections import CollectionRecord

log = structlog.get_logger()

EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened on


def queries_of(config: Config, api_url: str, record: CollectionRecord) -> QueryFunction | None:
    """Return the embedding function a collection is to record, or None: none is wanted, or clients' address is not known.

    `api_url` is where the API listens, which clients can use unless it listens on all of the machine's addresses.
    """
    given = config.embedding
    own = None if config.api.host in EVERYWHERE else api_url
    base = given.queries_url.rstrip("/") if given.queries_url else own
    if given.queries == "none" or base is None:
        return None
    key_variable = None if config.api.loopback else ANY_KEY
    return QueryFunction(given.queries, base + queries_path(record.target), record.embedding.model, key_variable)


def warn_unrecorded(config: Config) -> None:
    """Say so when collections cannot record an embedding function."""
    given = config.embedding
    if given.queries != "none" and given.queries_url is None and config.api.host in EVERYWHERE:
        log.warning("queries.unrecorded", fix="set embedding.queries_url, or embedding.queries to none")


def own_hosts(config: Config) -> frozenset[str]:
    """Return what clients may call this daemon: as it listens, and as collections record it."""
    recorded = urlsplit(config.embedding.queries_url or "").hostname
    return frozenset(name.lower() for name in (config.api.host, recorded) if name and name not in EVERYWHERE)
