"""Documents of a run on their way through the ingesters: handed on, waited for, counted, recorded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import replace

from syncd.model import Counts, DocumentState
from syncd.pipeline.job import DocumentJob, Result
from syncd.runtime.mailbox import Mailbox
from syncd.sync.run_state import RunState

AHEAD = 64
"""Documents handed on and not yet answered, per run: enough to fill batches, few enough to bound memory."""

SAVE_EVERY_S = 1.0


class Handover:
    """What one run has handed on. Whatever waits here raises a document's RetryableError, which ends the attempt."""

    def __init__(self, ingesters: Mailbox[DocumentJob, Result], state: RunState) -> None:
        self.counts = Counts()
        self.failures: list[str] = []
        """Why documents failed."""
        self._ingesters = ingesters
        self._state = state
        self._replies: deque[Awaitable[Result]] = deque()
        self._unsaved: list[Result] = []
        self._saved_at = time.monotonic()

    async def put(self, job: DocumentJob, *, urgent: bool = False) -> None:
        """Give a document to the ingesters; waits for room there, and for an answer when many are outstanding."""
        self._replies.append(await self._ingesters.put(job, urgent=urgent))
        while len(self._replies) >= AHEAD:
            await self._settle_one()

    def found(self) -> None:
        """Count a document that the source yielded."""
        self.counts = replace(self.counts, found=self.counts.found + 1)

    def held(self, deletes: int) -> None:
        """Count deletes that wait for somebody to confirm them."""
        self.counts = replace(self.counts, held_deletes=self.counts.held_deletes + deletes)

    async def finish(self) -> None:
        """Wait until everything handed on is answered."""
        while self._replies:
            await self._settle_one()

    async def save(self) -> None:
        """Write progress, outcomes and what was met; nothing depends on how often."""
        results, self._unsaved = self._unsaved, []
        await self._state.note(results, self.counts)
        self._saved_at = time.monotonic()

    async def _settle_one(self) -> None:
        """Wait for the oldest answer and count it."""
        result = await self._replies.popleft()
        self.counts = self.counts.plus(result.counts)
        if result.state is DocumentState.FAILED:
            self.failures.append(result.reason)
        self._unsaved.append(result)
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            await self.save()
