"""How much of the disk may be written: a share by prepared documents while they wait for their vectors, and never the last of it."""

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
    Nothing new is begun while less than `reserve_bytes` are free. What has been begun may use half of that, and then waits too:
    neither SQLite nor Chroma, which can hang when a disk has been full, is to see a full disk.
    """

    def __init__(self, prepared: Prepared, folder: Path, share: float, reserve_bytes: int = 0) -> None:
        self._prepared = prepared
        self._folder = folder
        self._share = share
        self._reserve_bytes = reserve_bytes
        self._lock = anyio.Lock()
        self._looked_at = float("-inf")
        self._taken_share = 0.0

    async def is_there(self, urgency: Urgency) -> bool:
        """Return whether there is room for one more document; looks once a second at most."""
        async with self._lock:
            if anyio.current_time() - self._looked_at >= LOOK_S:
                await self._look()
        if self.shortage() is not None:
            return False
        is_urgent = urgency > Urgency.BACKFILL
        return self._taken_share <= ((1 + self._share) / 2 if is_urgent else self._share)

    def free_bytes(self) -> int:
        """Return how much of the disk is free."""
        return shutil.disk_usage(self._folder).free

    def shortage(self) -> str | None:
        """Return why work waits for space on the disk, or None."""
        free_bytes = self.free_bytes()
        if free_bytes >= self._reserve_bytes:
            return None
        return (
            f"the disk of {self._folder} has {free_bytes:,} bytes free, less than sync.disk_reserve_bytes "
            f"({self._reserve_bytes:,}): free some, work waits until then"
        )

    async def to_go_on(self) -> None:
        """Wait until what has been begun may write; returns at once while half of the reserve is free."""
        while self.free_bytes() < self._reserve_bytes // 2:  # noqa: ASYNC110 - disks set no event
            await anyio.sleep(LOOK_S)

    async def _look(self) -> None:
        self._looked_at = anyio.current_time()
        was_full = self._taken_share > self._share
        taken_bytes = await self._prepared.size_bytes()
        free_bytes = self.free_bytes()
        self._taken_share = taken_bytes / max(1, free_bytes + taken_bytes)
        if self._taken_share > self._share and not was_full:
            log.warning("prepared.full", prepared_bytes=taken_bytes, free_bytes=free_bytes)
