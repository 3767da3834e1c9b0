"""Collections whose turn comes later: being filled, or not to be written for now; and who waits for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from syncd.errors import RetryableError
from syncd.index.changes import Change, OutboxLeft
from syncd.runtime.mailbox import Envelope, StoppedError
from syncd.runtime.retry import Backoff
from syncd.store.changes import Staged

Asked = tuple[Envelope[Change, Staged], Staged]
"""Who asked for a change, and what it means for Chroma."""

PATIENCE = 5
"""Failures in a row, over some ten seconds, until those who wait are told to come again; what they brought is kept."""


@dataclass(slots=True)
class _Collection:
    waiting: list[Asked] = field(default_factory=list[Asked])
    in_hand: Sequence[Asked] = ()
    failures: int = 0
    put_off: bool = False
    due: float = -math.inf
    reason: str = ""


class PostponedWrites:
    """By collection. Nothing here is durable, nor need it be: the store has the changes, the outbox and how far a fill came."""

    def __init__(self) -> None:
        self._collections: dict[int, _Collection] = {}
        self._backoff = Backoff(cap_s=15.0)

    def __contains__(self, collection_id: int) -> bool:
        return collection_id in self._collections

    def is_put_off(self, collection_id: int) -> bool:
        """Return whether the collection failed when it was last tried."""
        held = self._collections.get(collection_id)
        return held is not None and held.put_off

    def add(self, collection_id: int, group: Sequence[Asked], reason: str | None = None) -> None:
        """Let a collection have its turn, and these wait for it; with a `reason` it has failed, and is due after a pause."""
        held = self._collections.setdefault(collection_id, _Collection())
        # For what an earlier life left nobody waits, and the outbox has it.
        held.waiting += [one for one in group if not isinstance(one[0].message, OutboxLeft)]
        if reason is not None:
            held.failures, held.put_off, held.reason = held.failures + 1, True, reason
            held.due = anyio.current_time() + self._backoff.delay_s(held.failures)
        if held.failures >= PATIENCE:
            fail(held.waiting, RetryableError(held.reason))
            held.waiting.clear()

    def begin(self, collection_id: int) -> Sequence[Asked]:
        """Begin a collection's turn; return who waits for it. It ends with `advanced`, `over`, or `add` with a reason."""
        held = self._collections[collection_id]
        held.in_hand, held.waiting, held.put_off = held.waiting, [], False
        return held.in_hand

    def advanced(self, collection_id: int, group: Sequence[Asked]) -> None:
        """End a turn that got on and was not the last: the next one is due at once."""
        held = self._collections[collection_id]
        held.waiting, held.in_hand = [*group, *held.waiting], ()
        held.failures, held.reason = 0, ""

    def over(self, collection_id: int) -> None:
        """Forget a collection that has nothing left to wait for."""
        held = self._collections[collection_id]
        held.in_hand = ()
        if not held.put_off and not held.waiting:
            del self._collections[collection_id]

    def due(self) -> Sequence[int]:
        """Return the collections whose turn it is."""
        now = anyio.current_time()
        return [collection_id for collection_id, held in self._collections.items() if held.due <= now]

    def pause_s(self) -> float:
        """Return how long it is until the next turn: for ever while nothing is held."""
        first = min((held.due for held in self._collections.values()), default=math.inf)
        return max(0.0, first - anyio.current_time())

    def reason(self) -> str | None:
        """Return why a collection cannot be written, or None."""
        return next((held.reason for held in self._collections.values() if held.failures), None)

    def check(self, collection_id: int) -> None:
        """Raise RetryableError when the collection has not been written for so long that nothing more should be begun."""
        held = self._collections.get(collection_id)
        if held is not None and held.failures >= PATIENCE:
            raise RetryableError(held.reason)

    def envelopes(self) -> Iterable[Envelope[Change, Staged]]:
        """Return those of all who wait."""
        return [envelope for held in self._collections.values() for envelope, _ in held.waiting]

    def drop(self) -> None:
        """Send everybody away, because the actor stops."""
        for held in self._collections.values():
            fail([*held.waiting, *held.in_hand], StoppedError("the index was stopped before Chroma had it"))
        self._collections.clear()


def fail(group: Sequence[Asked], error: RetryableError) -> None:
    """Refuse all of them; those that have their reply keep it."""
    for envelope, _ in group:
        envelope.reply.fail(error)
