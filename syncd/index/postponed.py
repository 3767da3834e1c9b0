"""Collections that are being filled or cannot be written at the moment, with the requests that wait for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from syncd.errors import RetryableError
from syncd.index.changes import RETRY_CAP_S, Change, OutboxLeft
from syncd.runtime.mailbox import Envelope, StoppedError
from syncd.runtime.retry import Backoff
from syncd.store.changes import Staged

Asked = tuple[Envelope[Change, Staged], Staged]
"""A request and what it means for the vector store."""

PATIENCE = 5
"""Consecutive failures, over about ten seconds, until waiting requests fail as retryable; their changes stay in SQLite."""


@dataclass(slots=True)
class _Collection:
    waiting: list[Asked] = field(default_factory=list[Asked])
    in_hand: Sequence[Asked] = ()
    failures: int = 0
    put_off: bool = False
    due: float = -math.inf
    reason: str = ""


class PostponedWrites:
    """Waiting requests by collection. Not durable: SQLite has the changes, the outbox and the progress of refills."""

    def __init__(self) -> None:
        self._collections: dict[int, _Collection] = {}
        self._backoff = Backoff(cap_s=RETRY_CAP_S)

    def __contains__(self, collection_id: int) -> bool:
        return collection_id in self._collections

    def is_put_off(self, collection_id: int) -> bool:
        """Return whether the last attempt at the collection failed."""
        held = self._collections.get(collection_id)
        return held is not None and held.put_off

    def add(self, collection_id: int, group: Sequence[Asked], reason: str | None = None) -> None:
        """Schedule a collection, with requests that wait for it; a `reason` means it failed and is due after a pause."""
        held = self._collections.setdefault(collection_id, _Collection())
        # Nobody waits for what an earlier process left; the outbox has it.
        held.waiting += [one for one in group if not isinstance(one[0].message, OutboxLeft)]
        if reason is not None:
            held.failures, held.put_off, held.reason = held.failures + 1, True, reason
            held.due = anyio.current_time() + self._backoff.delay_s(held.failures)
        if held.failures >= PATIENCE:
            fail(held.waiting, RetryableError(held.reason))
            held.waiting.clear()

    def begin(self, collection_id: int) -> Sequence[Asked]:
        """Begin a collection's turn; return the requests that wait. It ends with `advanced`, `over`, or `add` with a reason."""
        held = self._collections[collection_id]
        held.in_hand, held.waiting, held.put_off = held.waiting, [], False
        return held.in_hand

    def advanced(self, collection_id: int, group: Sequence[Asked]) -> None:
        """End a turn that made progress but was not the last: the next one is due at once."""
        held = self._collections[collection_id]
        held.waiting, held.in_hand = [*group, *held.waiting], ()
        held.failures, held.reason = 0, ""

    def over(self, collection_id: int) -> None:
        """Remove a collection that is up to date."""
        held = self._collections[collection_id]
        held.in_hand = ()
        if not held.put_off and not held.waiting:
            del self._collections[collection_id]

    def due(self) -> Sequence[int]:
        """Return the collections whose turn it is."""
        now = anyio.current_time()
        return [collection_id for collection_id, held in self._collections.items() if held.due <= now]

    def pause_s(self) -> float:
        """Return the seconds until the next turn; infinite while nothing is held."""
        first = min((held.due for held in self._collections.values()), default=math.inf)
        return max(0.0, first - anyio.current_time())

    def reason(self) -> str | None:
        """Return why a collection cannot be written, or None."""
        return next((held.reason for held in self._collections.values() if held.failures), None)

    def check(self, collection_id: int) -> None:
        """Raise RetryableError if the collection has been unwritable for so long that no new work should start."""
        held = self._collections.get(collection_id)
        if held is not None and held.failures >= PATIENCE:
            raise RetryableError(held.reason)

    def forget(self, collection_id: int) -> None:
        """Fail what waits for a collection that is about to be dropped. Twice is safe."""
        if held := self._collections.pop(collection_id, None):
            fail(held.waiting, RetryableError("the collection was discarded"))

    def envelopes(self) -> Iterable[Envelope[Change, Staged]]:
        """Return all waiting requests."""
        return [envelope for held in self._collections.values() for envelope, _ in held.waiting]

    def drop(self) -> None:
        """Fail all waiting requests with StoppedError, because the actor stops."""
        for held in self._collections.values():
            fail(
                [*held.waiting, *held.in_hand],
                StoppedError("the index was stopped before the vector store had the change"),
            )
        self._collections.clear()


def fail(group: Sequence[Asked], error: RetryableError) -> None:
    """Fail all of them; those that already have a reply keep it."""
    for envelope, _ in group:
        envelope.reply.fail(error)
