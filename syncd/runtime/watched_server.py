"""A server that is somebody else's process: whether it answers, for whoever reports that or waits for it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import anyio

from syncd.errors import PermanentError, RetryableError

_PROBE_EVERY_S = 1.0
_LOOK_EVERY_S = 5.0


class WatchedServer(ABC):
    """An Actor that monitors whether the server is available; `_set_away` is called by whoever calls the server."""

    def __init__(self, server_name: str) -> None:
        self.outages = 0
        """How often the server was available again after it was not."""
        self._was_available = False
        self._away: str | None = f"{server_name} has not been asked yet"
        self._probing = anyio.Semaphore(1)

    @abstractmethod
    async def heartbeat(self) -> None:
        """Check whether the server is available; waits at most five seconds. Raises RetryableError."""

    @abstractmethod
    def _changed(self, reason: str | None) -> None:
        """Log that the server is away, for this reason, or available again."""

    async def run(self) -> None:
        """Send a heartbeat every five seconds, for `status`, until cancelled."""
        while True:
            await self.look()
            await anyio.sleep(_LOOK_EVERY_S)

    async def look(self) -> str | None:
        """Send a heartbeat now; return why the server is unavailable, or None."""
        try:
            await self.heartbeat()
        except (RetryableError, PermanentError) as error:
            self._set_away(str(error))
        return self._away

    def status(self) -> str | None:
        """Return why the server is unavailable, as of the last call, or None if it is available."""
        return self._away

    async def available(self) -> None:
        """Wait until the server is available; returns at once if it is. All waiters share one heartbeat per second."""
        while self.status() is not None:
            async with self._probing:
                if self.status() is not None and await self.look() is not None:
                    await anyio.sleep(_PROBE_EVERY_S)

    def _set_away(self, reason: str | None) -> None:
        """Note why the server is unavailable, None for available, as of the call that has just ended."""
        if (reason is None) != (self._away is None):
            if reason is None:
                self.outages += self._was_available
                self._was_available = True
            self._changed(reason)
        self._away = reason
