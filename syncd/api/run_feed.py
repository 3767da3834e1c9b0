"""The latest runs as they change, read once for all who follow them."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from syncd.api.invocations import views
from syncd.api.services import Services
from syncd.model import State

READ_EVERY_S = 1.0
"""However many follow, SQLite is asked no more often; while nobody does, not at all."""
NEWEST = 50
UNFINISHED = 100
"""Of each state."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A run as the API shows it (JSON), and in which version of the feed it became that."""

    version: int
    database: str
    text: str


class RunFeed:
    """The newest runs and those that have not ended. Whoever follows asks for what is newer than the version that they have, so a slow
    one misses intermediate states and nothing is kept for them.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = anyio.Lock()
        self._entries: dict[str, FeedEntry] = {}
        self._read_at = -math.inf
        self._epoch = secrets.token_hex(4)
        self._is_over = anyio.Event()
        self.version = 0
        """Grows with every change."""

    @property
    def mark(self) -> str:
        """What says how much of the feed somebody has; of another start of the daemon it means nothing."""
        return f"{self._epoch}-{self.version}"

    def version_at(self, mark: str) -> int | None:
        """Return the version of a mark, None for one that this feed did not give."""
        epoch, _, version = mark.partition("-")
        is_ours = epoch == self._epoch and version.isascii() and version.isdigit() and len(version) < 20
        return int(version) if is_ours and int(version) <= self.version else None

    async def latest(self) -> Mapping[str, FeedEntry]:
        """Return the runs by id, `READ_EVERY_S` old at most; waits for SQLite."""
        async with self._lock:
            if anyio.current_time() - self._read_at >= READ_EVERY_S:
                await self._read()
                self._read_at = anyio.current_time()
            return self._entries

    async def next_look(self) -> bool:
        """Wait until it is time to ask again; return whether there will be anything to ask for."""
        with anyio.move_on_after(READ_EVERY_S):
            await self._is_over.wait()
        return not self._is_over.is_set()

    def end(self) -> None:
        """Send everybody away who follows: the server stops. Twice is safe."""
        self._is_over.set()

    async def _read(self) -> None:
        invocations = self._services.store.invocations
        found = {it.id: it for it in await invocations.list(limit=NEWEST)}
        for state in (State.PENDING, State.PROCESSING):
            found |= {it.id: it for it in await invocations.list(state=state, limit=UNFINISHED)}
        entries: dict[str, FeedEntry] = {}
        for run, view in zip(found.values(), await views(self._services, found.values()), strict=True):
            text, known = json.dumps(view), self._entries.get(run.id)
            if known is None or known.text != text:
                known = FeedEntry(self.version + 1, run.target.database, text)
            entries[run.id] = known
        if any(entry.version > self.version for entry in entries.values()):
            self.version += 1
        self._entries = entries
