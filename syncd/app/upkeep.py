"""Keeping the state folder in order: the command line's token, uploaded files nobody needs, vectors nobody uses."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import anyio
import structlog

from syncd.api import orphans
from syncd.config import Config
from syncd.log import register_secret
from syncd.model import Invocation, State
from syncd.sources.factory import SourceFactory
from syncd.store import Store

log = structlog.get_logger()

TOKEN_FILE = "token"  # noqa: S105 - a file name
DAY_S = 86_400.0


class Sweeper:
    """At the start and once a day, drops cached vectors that nothing has used for long."""

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


async def clean_up(store: Store, opening: SourceFactory, invocation: Invocation) -> None:
    """Tell who waits for an invocation; delete its uploaded file, but keep that of a failed one for a retry."""
    await opening.buckets.journal.over(invocation)
    if (name := invocation.request.get("file")) is None:
        return
    now = await store.invocations.get(invocation.id)
    if now is not None and now.state in (State.COMPLETE, State.CANCELLED):
        with suppress(OSError):
            (opening.upload_folder / name).unlink()


async def drop_orphans(store: Store, opening: SourceFactory) -> None:
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
