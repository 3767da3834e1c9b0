"""A wake-up call between tasks: ringing never waits, and a ring while nobody waits is not lost."""

from __future__ import annotations

import anyio


class Wakeup:
    """Rung by any task, awaited by one, which then checks for itself what there is to do."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake the one who waits, or have the next wait return at once. Never waits, twice is safe."""
        self._rung.set()

    async def wait(self, limit_s: float | None = None) -> None:
        """Wait until it rings, or has rung since the last wait; at most `limit_s`, None being for ever."""
        with anyio.move_on_after(limit_s):
            await self._rung.wait()
        self._rung = anyio.Event()
