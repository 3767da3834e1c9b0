"""Which sources of a type follow events, in which queue these arrive, and with whose key it is read."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from syncd.errors import BugError, PermanentError, SyncdError
from syncd.model import SourceRecord, UnreadableSettings
from syncd.runtime.containment import contained
from syncd.sources.objects.access import QueueReader
from syncd.sources.objects.event_queue import EventQueue, QueueKind
from syncd.sources.objects.event_store import CheckQueue, DeadLetters
from syncd.sources.objects.journal import Journal
from syncd.sources.objects.poller import EventFollower
from syncd.store import Store

log = structlog.get_logger()


class EventParts(Protocol):
    """What a type says of its sources that follow events. Each raises PermanentError for a source that cannot be opened."""

    def queue_of(self, record: SourceRecord[Any]) -> str | None:
        """Return the URL of the queue where a source's events arrive, None if it follows none; never waits."""
        ...

    async def follower(self, record: SourceRecord[Any]) -> EventFollower:
        """Return the source as far as events concern it; a key that cannot be used is no reason to raise."""
        ...

    async def way_to_read(self, record: SourceRecord[Any], queue_url: str) -> tuple[Hashable, EventQueue]:
        """Return the queue as the source's own key reaches it, and what tells that key from others.

        The queue's URL alone decides where it is reached. So a source that names an existing queue cannot change how it is
        read, and no key is sent anywhere but where its own source says.
        """
        ...


class FollowedSources:
    """The sources of one type that follow events; `queues.FollowedQueues`. `wake` notifies the Syncer of new invocations."""

    def __init__(
        self, type_name: str, store: Store, parts: EventParts, kind: QueueKind, wake: Callable[[], None]
    ) -> None:
        self.kind = kind
        self.journal = Journal(CheckQueue(store.database), wake)
        self.dead_letters = DeadLetters(store.database)
        self.unopened: dict[str, str] = {}
        """Sources that follow events and could not be opened at the last attempt: reason by id."""
        self._type_name = type_name
        self._sources = store.sources
        self._parts = parts

    async def of_queue(self, queue_url: str) -> Sequence[EventFollower]:
        """Return all sources whose events arrive in a queue.

        Sources without a usable credential are included: their events are journalled like all others, and the runs
        that they lead to wait until the source can be opened.
        """
        sources: list[EventFollower] = []
        for record in (await self._following()).get(queue_url, ()):
            try:
                sources.append(await self._parts.follower(record))
            except PermanentError as error:
                self._blame(record, error)
        return sources

    async def readers(self) -> Mapping[str, Sequence[QueueReader]]:
        """Return the keys that each queue may be read with, the oldest source's first; sources may share one."""
        found: dict[str, list[QueueReader]] = {}
        unopened, self.unopened = self.unopened, {}
        for queue_url, records in (await self._following()).items():
            queues: dict[Hashable, EventQueue] = {}
            owners: dict[Hashable, dict[str, str]] = {}
            for record in records:
                try:
                    with contained("source", source=record.id):
                        key, queue = await self._parts.way_to_read(record, queue_url)
                except (PermanentError, BugError) as error:
                    self.unopened |= {record.id: unopened[record.id]} if record.id in unopened else {}
                    self._blame(record, error)
                else:
                    queues.setdefault(key, queue)
                    owners.setdefault(key, {})[record.id] = called(record)
            if queues:
                found[queue_url] = [QueueReader(key, queue, owners[key]) for key, queue in queues.items()]
        return found

    async def _following(self) -> Mapping[str, Sequence[SourceRecord]]:
        """Return the sources that follow events, by queue, the oldest first."""
        found: dict[str, list[SourceRecord]] = {}
        for record in await self._sources.list(type=self._type_name, limit=-1, newest_first=False):
            if isinstance(record.settings, UnreadableSettings):
                self._blame(record, PermanentError(record.settings.reason))
            elif queue_url := self._parts.queue_of(record):
                found.setdefault(queue_url, []).append(record)
        return found

    def _blame(self, record: SourceRecord, error: SyncdError) -> None:
        reason = f"it cannot be opened: {error}"
        if self.unopened.get(record.id) != reason:
            log.warning("source.refused", source=called(record), reason=str(error))
        self.unopened[record.id] = reason


def called(record: SourceRecord) -> str:
    """Return a source's name for messages."""
    return record.name or record.id
