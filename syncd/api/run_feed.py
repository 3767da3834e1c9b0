"""The latest runs as they change, read once for all who follow them."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import anyio

from syncd.api.invocations import views
from syncd.api.services import Services
from syncd.model import Invocation, State

READ_EVERY_S = 1.0
"""However many follow, SQLite is asked no more often; while nobody does, not at all."""
NEWEST = 50
UNENDED = (State.PENDING, State.PROCESSING)
UNFINISHED = 100
"""Of each state."""
BEHIND = 100
"""Of those behind all these, known when they had not ended: how many are still looked at, and how many that ended are kept for who is slow."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A run as the API shows it (JSON), and in which version of the feed it became that."""

    version: int
    database: str
    text: str
    is_over: bool


class RunFeed:
    """The newest runs, those that have not ended, and how the latter ended; of runs behind the newest a bounded number. Whoever follows
    asks for what is newer than the version that they have, so a slow one misses intermediate states.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = anyio.Lock()
        self._entries: dict[str, FeedEntry] = {}
        self._read_at = -math.inf
        self._epoch = secrets.token_hex(4)
        self._is_over = anyio.Event()
        self.version = 1
        """Grows with every change. Who has nothing yet has version 0."""

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

    async def ended_of(self, databases: frozenset[str]) -> Sequence[FeedEntry]:
        """Return which of the newest runs of these databases have ended and are hidden by newer ones of others; of those that have not,
        changes are told from now on. Waits for SQLite.
        """
        async with self._lock:
            newest = await self._services.store.invocations.list(databases=databases, limit=NEWEST)
            hidden = await self._made([it for it in newest if it.id not in self._entries], self.version)
            self._entries = {ident: it for ident, it in hidden.items() if not it.is_over} | self._entries
            return [it for it in hidden.values() if it.is_over]

    async def _read(self) -> None:
        invocations = self._services.store.invocations
        found = {it.id: it for it in await invocations.list(limit=NEWEST)}
        for state in UNENDED:
            found |= {it.id: it for it in await invocations.list(state=state, limit=UNFINISHED)}
        behind = [(ident, it) for ident, it in self._entries.items() if ident not in found]
        behind.sort(key=lambda known: known[1].version, reverse=True)
        unended = [ident for ident, it in behind if not it.is_over]
        found |= {it.id: it for it in await invocations.some(unended[:BEHIND])}
        entries = dict([(ident, it) for ident, it in behind if it.is_over][:BEHIND])
        for ident, entry in (await self._made(found.values(), self.version + 1)).items():
            known = self._entries.get(ident)
            entries[ident] = known if known and known.text == entry.text else entry
        if any(entry.version > self.version for entry in entries.values()):
            self.version += 1
        self._entries = entries

    async def _made(self, runs: Collection[Invocation], version: int) -> dict[str, FeedEntry]:
        shown = zip(runs, await views(self._services, runs), strict=True)
        return {
            run.id: FeedEntry(version, run.target.database, json.dumps(view), run.state not in UNENDED)
            for run, view in shown
        }
