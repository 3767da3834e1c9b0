"""Maintains the state folder: the command line's token, unused cached vectors, and what removed sources left."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import anyio
import structlog

from syncd.config import Config
from syncd.errors import RetryableError
from syncd.index.writer import Index
from syncd.redaction import register_secret
from syncd.runtime.state import TOKEN_FILE
from syncd.store import Store
from syncd.store.absent_sources import KEEP, PURGE, AbsentSource
from syncd.store.changes import Removal

log = structlog.get_logger()

SWEEP_EVERY_S = 86_400.0
LEFTOVERS_EVERY_S = 5.0


class Sweeper:
    """At the start and once a day, deletes cached vectors that have long been unused, and runs that ended long ago."""

    name = "sweeper"

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._unused_for_s = timedelta(days=config.sync.cache_unused_days).total_seconds()
        self._keep_runs_s = timedelta(days=config.sync.keep_runs_days).total_seconds()

    async def run(self) -> None:
        """Sweep daily until cancelled."""
        while True:
            dropped = await self._store.vectors.collect_garbage(self._unused_for_s)
            log.info("cache.swept", dropped=dropped)
            forgotten = await self._store.run_history.forget(time.time() - self._keep_runs_s)
            log.info("runs.forgotten", runs=forgotten)
            await anyio.sleep(SWEEP_EVERY_S)


class Leftovers:
    """Purges, or hands over to another source, what sources left that were removed so. A crash repeats the rest of it."""

    name = "leftovers"

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            try:
                for source in await self._store.absent_sources.doomed():
                    await self._settle(source)
            except RetryableError as error:
                log.warning("leftovers.waiting", reason=str(error))
            await anyio.sleep(LEFTOVERS_EVERY_S)

    async def _settle(self, source: AbsentSource) -> None:
        absent, heir = self._store.absent_sources, source.fate if source.fate != PURGE else None
        if heir and await self._store.sources.get(heir) is None:
            log.warning("leftovers.kept", source=source.name or source.id, reason=f"source {heir} does not exist")
            return await absent.decide(source.id, KEEP)
        while documents := await absent.documents(source.id):
            if heir:
                for collection_id, chunk_ids in (await absent.hand_over(documents, heir)).items():
                    await self._index.flush(collection_id, chunk_ids)
            # Of one that was handed over there is nothing left to remove.
            removals = [Removal(one.collection_id, one.source_id, one.key) for one in documents]
            for reply in [await self._index.mailbox.put(removal) for removal in removals]:
                await reply
        await absent.forget(source.id)
        log.info("leftovers.settled", source=source.name or source.id, fate=source.fate)
        return None


async def make_admin_token(store: Store, state: Path) -> None:
    """Create the command line's token, unless it exists, in a file only this user can read. Twice is safe."""
    file = state / TOKEN_FILE
    if file.exists() and await store.tokens.verify(kept := file.read_text(errors="replace").strip()):
        register_secret(kept)
        return
    token = await store.tokens.create("command line")
    register_secret(token)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(token + "\n")
