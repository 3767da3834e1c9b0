"""Notices which sources are late, and no longer, for whoever is to be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
import structlog

from syncd.errors import RetryableError
from syncd.store import Store
from syncd.sync.freshness import Standing

log = structlog.get_logger()

CHECK_LATE_S = 5.0


class LateSources:
    """An actor: looks every few seconds which sources are late, and has webhooks told what changed."""

    name = "late sources"

    def __init__(self, store: Store, standings: Callable[[], Awaitable[Mapping[str, Standing]]]) -> None:
        self._store = store
        self._standings = standings

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                late = {ident: one for ident, one in (await self._standings()).items() if one.is_late}
                await self._store.webhooks.note_late(
                    {
                        ident: {"behind_s": round(one.behind_s, 1), "max_lag_s": one.max_lag_s}
                        for ident, one in late.items()
                    }
                )
            except RetryableError as error:
                log.warning("webhook.waiting", webhook=None, reason=str(error))
            await anyio.sleep(CHECK_LATE_S)
