"""How sources that follow events request runs and learn that they have ended, through the journal of invocations."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from syncd.model import Invocation, OneObject, Origin, WholeSource
from syncd.sources.objects.event_store import CheckQueue

ENDED_CHECK_EVERY_S = 5.0
"""How soon it is noticed that an invocation ended without a run (cancelled, or its source deleted)."""


class Journal:
    """The durable path from an event to its check. `wake` notifies the Syncer of new work, which calls `over` at the end."""

    def __init__(self, checks: CheckQueue, wake: Callable[[], None]) -> None:
        self._looks = checks
        self._wake = wake
        self._waiting: dict[str, anyio.Event] = {}

    async def ask(self, source_id: str, collection: str, origin: Origin, request: OneObject | WholeSource) -> str:
        """Return an invocation that does what is requested.

        It is durable when this returns. A waiting invocation for the same check may be returned.
        Raises RetryableError, or NotFoundError if the source is gone.
        """
        invocation_id = await self._looks.ask(source_id, collection, origin, request)
        self._wake()
        return invocation_id

    async def settled(self, invocation_id: str) -> None:
        """Wait until an invocation has ended: complete, failed, cancelled or deleted."""
        event = self._waiting.setdefault(invocation_id, anyio.Event())
        while not await self._looks.is_over(invocation_id):
            with anyio.move_on_after(ENDED_CHECK_EVERY_S):
                await event.wait()
                event = self._waiting.setdefault(invocation_id, anyio.Event())
        self._waiting.pop(invocation_id, None)

    async def over(self, invocation: Invocation) -> None:
        """Wake the tasks that wait for this invocation. Twice is safe, and so is too early, because they check the journal."""
        if event := self._waiting.pop(invocation.id, None):
            event.set()
