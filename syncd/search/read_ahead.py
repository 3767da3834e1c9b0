"""Reads the words of large collections before somebody searches them: of a million chunks that takes two minutes."""

from __future__ import annotations

from contextlib import suppress

import anyio

from syncd.errors import RetryableError
from syncd.search.search import Search
from syncd.store import Store

READ_AHEAD_EVERY_S = 60.0
"""A look takes up to a millisecond for each collection."""


class ReadAhead:
    """An actor: now and then, brings the inverted lists of collections up to date that are far behind. A crash repeats the last part."""

    name = "words"

    def __init__(self, store: Store, search: Search) -> None:
        self._store = store
        self._search = search

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await self.look()
            await anyio.sleep(READ_AHEAD_EVERY_S)

    async def look(self) -> None:
        """Read what all collections are far behind by."""
        for record in await self._store.collections.all():
            # A search would say so; the next look tries again.
            with suppress(RetryableError):
                await self._search.read_ahead(record)
