"""What is known of the daemon at one moment, for monitoring."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from syncd.api.services import Services, Vitals
from syncd.model.watching import WatchState
from syncd.store.census import Census
from syncd.store.freshness import Lag
from syncd.store.refills import CollectionState
from syncd.store.webhook_outbox import WebhookState
from syncd.sync.freshness import Standing

T = TypeVar("T")

FRESH_S = 5.0
"""However many ask, SQLite counts no more often: 100,000 documents of five chunks keep it busy for some 0.3 s."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures themselves."""

    census: Census
    collections: Sequence[CollectionState]
    lags: Sequence[Lag]
    standings: Mapping[str, Standing]
    watches: Mapping[str, WatchState]
    webhooks: Sequence[WebhookState]
    vitals: Vitals

    def of_sources(self, values: Mapping[str, T], otherwise: T | None = None) -> Iterator[tuple[tuple[str, str], T]]:
        """Yield the labels of every source with its value, by its id; one that has none gets `otherwise`, or is left out."""
        for source_id, source in self.census.sources.items():
            value = values.get(source_id, otherwise)
            if value is not None:
                yield (source.database, source.name), value


class LatestFigures:
    """The daemon's figures, `FRESH_S` old at most."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = anyio.Lock()
        self._found: Figures | None = None
        self._found_at = -math.inf

    async def get(self) -> Figures:
        """Return them; waits for SQLite, never for Chroma, a model or a source. Raises StoreDamagedError."""
        async with self._lock:
            if self._found is None or anyio.current_time() - self._found_at >= FRESH_S:
                self._found = await self._count()
                self._found_at = anyio.current_time()
            return self._found

    async def _count(self) -> Figures:
        services, store = self._services, self._services.store
        return Figures(
            census=await store.censuses.take(),
            collections=await store.refills.states(),
            lags=await store.freshness.lags(),
            standings=await services.standings(),
            watches=services.watches(),
            webhooks=await store.webhooks.states(),
            vitals=services.vitals(),
        )
