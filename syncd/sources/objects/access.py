"""Reaches one queue with whichever of its sources' keys works, and records which do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio
import structlog

from syncd.errors import PermanentError
from syncd.sources.objects.event_queue import EventQueue, Message, PollerSettings
from syncd.sources.objects.transport import StaleCredentialsError

T = TypeVar("T")

log = structlog.get_logger()

REFUSED_FOR_S = 300.0
"""A refused key is tried again after this long, because its permissions may have been corrected outside the daemon."""


@dataclass(frozen=True, slots=True)
class QueueReader:
    """One key that a queue may be read with. `sources`: the sources that use it, display name by id."""

    key: Hashable = field(repr=False)
    """Equal keys are one."""
    queue: EventQueue
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a key was refused, and when to try it again (anyio's clock)."""

    reason: str
    until: float


class QueueAccess:
    """An `EventQueue` over those of `readers`, the oldest source's first.

    All of them are the same queue, read with a key of a source that names the queue itself: a source that joins adds a key,
    and changes nothing else. A refusal is noted only where receiving is tried: a key may lack other permissions.
    """

    def __init__(self, queue_url: str, readers: Sequence[QueueReader]) -> None:
        self._queue_url = queue_url
        self._readers = list(readers)
        self._refusals: dict[Hashable, Refusal] = {}
        self._used: Hashable = None

    def takes(self, readers: Sequence[QueueReader]) -> bool:
        """Switch to these readers and return True; return False if calls in progress must be restarted instead.

        That is so if the key in use is not among them, or if none has worked so far.
        """
        keys = [reader.key for reader in readers]
        if keys != [reader.key for reader in self._readers] and self._used not in keys:
            return False
        known = {reader.key: reader.queue for reader in self._readers}
        self._readers = [replace(reader, queue=known.get(reader.key, reader.queue)) for reader in readers]
        self._refusals = {key: it for key, it in self._refusals.items() if key in keys}
        return True

    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why a source's key cannot read the queue."""
        return {
            source_id: f"its key cannot read its queue: {self._refusals[reader.key].reason}"
            for reader in self._readers
            if reader.key in self._refusals
            for source_id in reader.sources
        }

    async def receive(self, count: int, settings: PollerSettings) -> Sequence[Message]:
        """Receive with the first key that is not refused. Raises PermanentError, naming every source, where all are."""
        refused: list[str] = []
        for reader in self._in_order():
            try:
                messages = await reader.queue.receive(count, settings)
            except (PermanentError, StaleCredentialsError) as error:
                self._refuse(reader, str(error))
                refused.append(f"{named(reader)}: {error}")
            else:
                self._accept(reader)
                return messages
        raise PermanentError("; ".join(refused))

    async def hide(self, messages: Sequence[Message], timeout_s: int) -> Sequence[str]:
        """Hide messages with the first key that may."""
        return await self._first(lambda queue: queue.hide(messages, timeout_s))

    async def delete(self, messages: Sequence[Message]) -> Sequence[str]:
        """Delete messages with the first key that may."""
        return await self._first(lambda queue: queue.delete(messages))

    async def puts_aside(self, message: Message) -> bool:
        """Ask with the first key that may."""
        return await self._first(lambda queue: queue.puts_aside(message))

    async def _first(self, call: Callable[[EventQueue], Awaitable[T]]) -> T:
        refused: list[str] = []
        for reader in self._in_order():
            try:
                return await call(reader.queue)
            except (PermanentError, StaleCredentialsError) as error:
                refused.append(f"{named(reader)}: {error}")
        raise PermanentError("; ".join(refused))

    def _in_order(self) -> list[QueueReader]:
        """Return the readers, recently refused ones last."""
        now = anyio.current_time()
        return sorted(self._readers, key=lambda it: it.key in self._refusals and self._refusals[it.key].until > now)

    def _refuse(self, reader: QueueReader, reason: str) -> None:
        known = self._refusals.get(reader.key)
        if known is None or known.reason != reason:
            log.warning("queue.key_refused", queue=self._queue_url, source=named(reader), reason=reason)
        self._refusals[reader.key] = Refusal(reason, anyio.current_time() + REFUSED_FOR_S)
        if self._used == reader.key:
            self._used = None

    def _accept(self, reader: QueueReader) -> None:
        self._used = reader.key
        if self._refusals.pop(reader.key, None) is not None:
            log.info("queue.key_accepted", queue=self._queue_url, source=named(reader))


def named(reader: QueueReader) -> str:
    """Return whose key it is, for messages."""
    return f"source {', '.join(reader.sources.values())}"
