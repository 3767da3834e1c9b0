"""How much of the disk prepared documents may take while they wait for their vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import structlog

from syncd.store.changes import Urgency
from syncd.store.prepared import Prepared

log = structlog.get_logger()

LOOK_S = 1.0


class DiskRoom:
    """At most `share` of what is free on the disk of `folder`, counting what is taken already as free.

    Changes may take half of the rest too: a backfill that has filled its share, and waits for days, does not hold them up.
    """

    def __init__(self, prepared: Prepared, folder: Path, share: float) -> None:
        self._prepared = prepared
        self._folder = folder
        self._share = share
        self._lock = anyio.Lock()
        self._looked_at = float("-inf")
        self._taken_share = 0.0

    async def is_there(self, urgency: Urgency) -> bool:
        """Return whether there is room for one more document; looks once a second at most."""
        async with self._lock:
            if anyio.current_time() - self._looked_at >= LOOK_S:
                await self._look()
        is_urgent = urgency > Urgency.BACKFILL
        return self._taken_share <= ((1 + self._share) / 2 if is_urgent else self._share)

    async def _look(self) -> None:
        self._looked_at = anyio.current_time()
        was_full = self._taken_share > self._share
        taken_bytes = await self._prepared.size_bytes()
        free_bytes = shutil.disk_usage(self._folder).free
        self._taken_share = taken_bytes / max(1, free_bytes + taken_bytes)
        if self._taken_share > self._share and not was_full:
            log.warning("prepared.full", prepared_bytes=taken_bytes, free_bytes=free_bytes)
