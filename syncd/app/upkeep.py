"""Maintains the state folder: the command line's token, and unused cached vectors."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import structlog

from syncd.config import Config
from syncd.log import register_secret
from syncd.runtime.state import TOKEN_FILE
from syncd.store import Store

log = structlog.get_logger()

DAY_S = 86_400.0


class Sweeper:
    """At the start and once a day, deletes cached vectors that have long been unused."""

    name = "sweeper"

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._unused_for_s = config.sync.cache_unused_days * DAY_S

    async def run(self) -> None:
        """Sweep daily until cancelled."""
        while True:
            dropped = await self._store.vectors.collect_garbage(self._unused_for_s)
            log.info("cache.swept", dropped=dropped)
            await anyio.sleep(DAY_S)


async def make_admin_token(store: Store, state: Path) -> None:
    """Create the command line's token, unless it exists, in a file only this user can read. Twice is safe."""
    file = state / TOKEN_FILE
    if file.exists() and await store.tokens.verify(file.read_text().strip()):
        return
    token = await store.tokens.create("command line")
    register_secret(token)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(token + "\n")
