"""Reaches one queue with whichever of its sources' keys works, and records which do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio
import structlog

from syncd.errors import PermanentError
from syncd.sources.s3.calls import SqsClient
from syncd.sources.s3.client import Connection
from syncd.sources.s3.endpoint import Endpoint
from syncd.sources.s3.errors import StaleCredentialsError

T = TypeVar("T")

log = structlog.get_logger()

REFUSED_FOR_S = 300.0
"""A refused key is tried again after this long, because its permissions may have been corrected outside the daemon."""


@dataclass(frozen=True, slots=True)
class QueueReader:
    """One key that a queue may be read with. `sources`: the sources that use it, display name by id."""

    endpoint: Endpoint
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a key was refused, and when to try it again (anyio's clock)."""

    reason: str
    until: float


class QueueAccess:
    """A `Caller` over the connections of `readers`, the oldest source's first.

    All of them reach the same host, with a key of a source that names the queue itself: a source that joins adds a key,
    and changes nothing else. A refusal is noted only where receiving is tried (`once`): a key may lack other permissions.
    """

    def __init__(
        self, queue_url: str, connect: Callable[[Endpoint], Connection[SqsClient]], readers: Sequence[QueueReader]
    ) -> None:
        self._queue_url = queue_url
        self._connect = connect
        self._readers = list(readers)
        self._refusals: dict[Endpoint, Refusal] = {}
        self._used: Endpoint | None = None

    def takes(self, readers: Sequence[QueueReader]) -> bool:
        """Switch to these readers and return True; return False if calls in progress must be restarted instead.

        That is so if the key in use is not among them, or if none has worked so far.
        """
        endpoints = [reader.endpoint for reader in readers]
        if endpoints != [reader.endpoint for reader in self._readers] and self._used not in endpoints:
            return False
        self._readers = list(readers)
        self._refusals = {endpoint: it for endpoint, it in self._refusals.items() if endpoint in endpoints}
        return True

    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why a source's key cannot read the queue."""
        return {
            source_id: f"its key cannot read its queue: {self._refusals[reader.endpoint].reason}"
            for reader in self._readers
            if reader.endpoint in self._refusals
            for source_id in reader.sources
        }

    async def once(self, function: Callable[[SqsClient], Awaitable[T]], what: str) -> T:
        """Return `await function(client)` with the first key that is not refused. Raises PermanentError, naming every source,
        where all are; RetryableError as the connection does.
        """
        refused: list[str] = []
        for reader in self._in_order():
            try:
                answer = await self._connect(reader.endpoint).once(function, what)
            except (PermanentError, StaleCredentialsError) as error:
                self._refuse(reader, str(error))
                refused.append(f"{named(reader)}: {error}")
            else:
                self._accept(reader)
                return answer
        raise PermanentError("; ".join(refused))

    async def call(self, function: Callable[[SqsClient], Awaitable[T]], what: str) -> T:
        """Like `once`, with retries of retryable errors. `function` must be safe to repeat."""
        refused: list[str] = []
        for reader in self._in_order():
            try:
                return await self._connect(reader.endpoint).call(function, what)
            except (PermanentError, StaleCredentialsError) as error:
                refused.append(f"{named(reader)}: {error}")
        raise PermanentError("; ".join(refused))

    def _in_order(self) -> list[QueueReader]:
        """Return the readers, recently refused ones last."""
        now = anyio.current_time()
        return sorted(
            self._readers, key=lambda it: it.endpoint in self._refusals and self._refusals[it.endpoint].until > now
        )

    def _refuse(self, reader: QueueReader, reason: str) -> None:
        known = self._refusals.get(reader.endpoint)
        if known is None or known.reason != reason:
            log.warning("sqs.key_refused", queue=self._queue_url, source=named(reader), reason=reason)
        self._refusals[reader.endpoint] = Refusal(reason, anyio.current_time() + REFUSED_FOR_S)
        if self._used == reader.endpoint:
            self._used = None

    def _accept(self, reader: QueueReader) -> None:
        self._used = reader.endpoint
        if self._refusals.pop(reader.endpoint, None) is not None:
            log.info("sqs.key_accepted", queue=self._queue_url, source=named(reader))


def named(reader: QueueReader) -> str:
    """Return whose key it is, for messages."""
    return f"source {', '.join(reader.sources.values())}"
