"""How S3 sources ask for runs and learn that they are over, by way of the journal of invocations."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from syncd.model import Invocation, Origin
from syncd.sources.s3.event_store import CheckQueue

LOOK_AGAIN_S = 5.0
"""Invocations that end without a run (cancelled, their source deleted) are noticed after so long."""


class Journal:
    """The durable way from an event to its look. `wake` tells the Syncer of new work; whoever settles tells `over`."""

    def __init__(self, checks: CheckQueue, wake: Callable[[], None]) -> None:
        self._looks = checks
        self._wake = wake
        self._waiting: dict[str, anyio.Event] = {}

    async def ask(self, source_id: str, collection: str, origin: Origin, key: str | None) -> str:
        """Return an invocation that looks at `key`, or (None) lists the bucket for a collection that labels name.

        It is durable when this returns. One that waits to do the same may be returned: its look is still to come.
        Raises RetryableError, NotFoundError when the source is gone.
        """
        invocation_id = await self._looks.ask(source_id, collection, origin, key)
        self._wake()
        return invocation_id

    async def settled(self, invocation_id: str) -> None:
        """Wait until an invocation is over: complete, failed, cancelled or forgotten."""
        event = self._waiting.setdefault(invocation_id, anyio.Event())
        while not await self._looks.is_over(invocation_id):
            with anyio.move_on_after(LOOK_AGAIN_S):
                await event.wait()
                event = self._waiting.setdefault(invocation_id, anyio.Event())
        self._waiting.pop(invocation_id, None)

    async def over(self, invocation: Invocation) -> None:
        """Wake whoever waits for this invocation. Twice is safe; early is too, the journal is asked again."""
        if event := self._waiting.pop(invocation.id, None):
            event.set()
