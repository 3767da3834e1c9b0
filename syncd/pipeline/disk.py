"""How much of the disk prepared documents may take while they wait for their vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import structlog

from syncd.store.prepared import Prepared

log = structlog.get_logger()

LOOK_S = 1.0


class DiskRoom:
    """At most `share` of what is free on the disk of `folder`, counting what is taken already as free."""

    def __init__(self, prepared: Prepared, folder: Path, share: float) -> None:
        self._prepared = prepared
        self._folder = folder
        self._share = share
        self._lock = anyio.Lock()
        self._looked_at = float("-inf")
        self._is_full = False

    async def wait(self) -> None:
        """Wait while what is prepared takes more than its share; looks once a second at most."""
        async with self._lock:
            while True:
                if not await self._full():
                    return
                await anyio.sleep(LOOK_S)

    async def _full(self) -> bool:
        now = anyio.current_time()
        if now - self._looked_at < LOOK_S:
            return self._is_full
        self._looked_at = now
        taken_bytes = await self._prepared.size_bytes()
        free_bytes = shutil.disk_usage(self._folder).free
        is_full = taken_bytes > self._share * (free_bytes + taken_bytes)
        if is_full and not self._is_full:
            log.warning("prepared.full", prepared_bytes=taken_bytes, free_bytes=free_bytes)
        self._is_full = is_full
        return is_full
