"""Where others reach this daemon: what collections record, and what clients may call it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from syncd.chroma.client import Chroma
from syncd.chroma.connection import ChromaSettings
from syncd.chroma.server import ChromaServer
from syncd.chroma.shape import ANY_KEY, queries_path
from syncd.config import Config
from syncd.json_types import JsonObject
from syncd.model import QueryFunction
from syncd.store.collections import CollectionRecord

if TYPE_CHECKING:
    from syncd.qdrant.client import Qdrant

log = structlog.get_logger()

FIRST_PERSON, NOBODY = 1000, 65534
"""Numbers of accounts (login.defs(5), UID_MIN; systemd's "Users, Groups, UIDs and GIDs")."""
QDRANT_PORT = 6333
"""Qdrant's own, which its client takes too where an address has none."""
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


def warn_open_chroma(server: ChromaServer) -> None:
    """Say so when other people of this machine can read and write what our own Chroma, which has been started, holds.

    chromadb 1.5.9 listens on TCP only and knows neither tokens nor passwords, and the kernel lets every user connect to loopback.
    """
    if server.is_private or not (people := other_people()):
        return
    if server.network is None:
        why, fix = (
            "chroma.port is set",
            "remove chroma.port; Chroma's clients then come through the daemon's own address, with a token",
        )
    else:
        why = server.network.obstacle or ""
        fix = (
            "let the daemon make user and network namespaces (under systemd: RestrictNamespaces=user net), run it in a container, "
            "or name a server with authentication in [chroma]"
        )
    log.warning("chroma.open", to=people, why=why, fix=fix)


def address_for_clients(settings: ChromaSettings, server: ChromaServer | None, api_url: str) -> tuple[str, int]:
    """Return where Chroma's clients connect: to Chroma, or to our own API, with a token, where Chroma is in a network of its own."""
    if server is None or not server.is_private:
        return settings.host, settings.port
    ours = urlsplit(api_url)
    return ours.hostname or settings.host, ours.port or settings.port


def store_place(vector_store: Chroma | Qdrant, server: ChromaServer | None, api_url: str) -> Mapping[str, JsonObject]:
    """Return which vector store it is and where its clients connect, as `daemon.json` has it: its name, with host and port."""
    if isinstance(vector_store, Chroma):
        host, port = address_for_clients(vector_store.settings, server, api_url)
        return {"chroma": {"host": host, "port": port}}
    place = urlsplit(vector_store.settings.url)
    return {"qdrant": {"host": place.hostname, "port": place.port or QDRANT_PORT}}


def other_people() -> Sequence[str]:
    """Return the names of this machine's other accounts that somebody can log in to; system accounts have smaller numbers.

    Accounts of a directory that lists none (LDAP, as sssd does by default) are not seen.
    """
    can_log_in = (user for user in pwd.getpwall() if not user.pw_shell.endswith(("/nologin", "/false", "/sync")))
    return [user.pw_name for user in can_log_in if FIRST_PERSON <= user.pw_uid < NOBODY and user.pw_uid != os.geteuid()]


def own_hosts(config: Config) -> frozenset[str]:
    """Return what clients may call this daemon: as it listens, and as collections record it."""
    recorded = urlsplit(config.embedding.queries_url or "").hostname
    return frozenset(name.lower() for name in (config.api.host, recorded) if name and name not in EVERYWHERE)
