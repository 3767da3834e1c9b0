"""The actor of one event queue: receives events, requests checks of their keys, and deletes a message once all are settled.

    receive → submit invocations (durable) → wait until they are settled → delete

A crash anywhere leaves the message in the queue, which delivers it again; checking a key twice is harmless.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from syncd.errors import BugError, NotFoundError, PermanentError, RetryableError
from syncd.runtime.containment import contained
from syncd.runtime.retry import Backoff
from syncd.sources.objects.event_queue import EventQueue, Message, PollerSettings, QueueKind
from syncd.sources.objects.event_store import DeadLetters, UnreadableMessage
from syncd.sources.objects.events import Event, EventKind
from syncd.sources.objects.in_flight import InFlight
from syncd.sources.objects.journal import Journal

log = structlog.get_logger()

REMEMBERED_EVENTS = 10_000
BUG_ATTEMPTS = 3
"""A message whose processing meets a bug this often is treated as poison."""


class EventFollower(Protocol):
    """A source as far as events concern it."""

    @property
    def id(self) -> str:
        """The source's id."""
        ...

    @property
    def bucket_in_events(self) -> str:
        """What events call its bucket or container."""
        ...

    def takes(self, key: str) -> bool:
        """Return whether a key may be one of the source's."""
        ...

    async def check(self, key: str) -> Sequence[str]:
        """Request checks of a key ('': of all) and return the invocations, which are then durable. Raises RetryableError, NotFoundError."""
        ...


class Followers(Protocol):
    """The sources of one type that follow events."""

    kind: QueueKind
    journal: Journal
    dead_letters: DeadLetters

    async def of_queue(self, queue_url: str) -> Sequence[EventFollower]:
        """Return all sources whose events arrive in a queue."""
        ...


@dataclass(slots=True)
class PollerStats:
    """What one poller has done so far. `problem`: why it receives nothing at the moment, or ''."""

    received: int = 0
    deleted: int = 0
    duplicates: int = 0
    ignored: int = 0
    postponed: int = 0
    dead: int = 0
    problem: str = ""


class QueuePoller:
    """Serves every source whose events arrive in one queue; an Actor. Buckets that no source names are never read."""

    def __init__(
        self, queue_url: str, queue: EventQueue, followers: Followers, settings: PollerSettings | None = None
    ) -> None:
        self.name = f"queue:{queue_url}"
        self.queue_url = queue_url
        self.stats = PollerStats()
        self._queue = queue
        self._followers = followers
        self._settings = settings or PollerSettings()
        self._settled_events: OrderedDict[tuple[str, Event], None] = OrderedDict()
        self._backoff = Backoff(base_s=1.0, cap_s=60.0)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Poll until cancelled, retrying errors of the queue. Unfinished messages are released at the end."""
        in_flight = InFlight(self.queue_url, self._queue, self._followers.kind, self._settings)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(in_flight.keep_hidden)
                group.start_soon(in_flight.delete_done)
                task_status.started()
                await self._poll(in_flight, group)
        finally:
            await in_flight.give_all_back()

    async def _poll(self, in_flight: InFlight, group: TaskGroup) -> None:
        failures = 0
        while True:
            count = min(await in_flight.room(), self._followers.kind.batch_size)
            try:
                with contained("queue", queue=self.queue_url):
                    messages = await self._queue.receive(count, self._settings)
            except (RetryableError, PermanentError) as error:
                failures += 1
                self.stats.problem = str(error)
                log.warning("queue.poll_failed", queue=self.queue_url, reason=str(error), failures=failures)
                await anyio.sleep(self._backoff.delay_s(failures))
                continue
            failures, self.stats.problem = 0, ""
            for message in messages:
                self.stats.received += 1
                in_flight.take(message)
                group.start_soon(self._handle, in_flight, message)

    async def _handle(self, in_flight: InFlight, message: Message) -> None:
        """Process one message to its end. Retryable errors are retried here, with the message in flight: if released, it
        would after a few deliveries be moved to a dead-letter queue without a reason. A message that keeps meeting a bug
        is poison: it is recorded as a dead letter, and the other messages go on.
        """
        failures = bugs = 0
        while True:
            try:
                with contained("message", queue=self.queue_url, message=message.id):
                    await self._work_off(in_flight, message)
            except RetryableError as error:
                failures += 1
                bugs += isinstance(error, BugError)
                if bugs >= BUG_ATTEMPTS:
                    await self._bury(in_flight, message, str(error))
                    return
                self.stats.postponed += 1
                log.info("queue.postponed", queue=self.queue_url, message=message.id, reason=str(error))
                delay_s = max(self._backoff.delay_s(failures), error.retry_after_s or 0.0)
                await anyio.sleep(min(self._settings.retry_cap_s, delay_s))
            except PermanentError as error:
                await self._bury(in_flight, message, str(error))
                return
            else:
                self.stats.deleted += 1
                in_flight.finish(message)
                return

    async def _work_off(self, in_flight: InFlight, message: Message) -> None:
        """Have every key that the message names checked. Raises PermanentError if the message is poison."""
        parsed = self._followers.kind.read(message.body)
        if parsed.note and not parsed.poison:
            log.info("queue.note", queue=self.queue_url, message=message.id, note=parsed.note)
        sources = await self._followers.of_queue(self.queue_url)
        events = [event for event in parsed.events if event.kind is not EventKind.OTHER]
        asked = [(source, event) for event in events for source in self._concerned(event, sources)]
        invocations = [invocation for source, event in asked for invocation in await self._looks(source, event)]
        if await self._settled(in_flight, invocations):
            for source, event in asked:
                self._remember(source, event)
        if parsed.poison:
            raise PermanentError(parsed.note)

    async def _settled(self, in_flight: InFlight, invocations: Sequence[str]) -> bool:
        """Wait until all have ended; return False where that takes so long that the journal alone shall carry them.

        It takes less to be too long while messages of others, perhaps of healthier sources, wait for room.
        """
        is_over = False
        async with anyio.create_task_group() as group:
            group.start_soon(self._lose_patience, in_flight, group.cancel_scope)
            for invocation in invocations:
                await self._followers.journal.settled(invocation)
            is_over = True
            group.cancel_scope.cancel()
        return is_over

    async def _lose_patience(self, in_flight: InFlight, scope: anyio.CancelScope) -> None:
        with anyio.move_on_after(self._settings.hand_over_s):
            await anyio.sleep(self._settings.patience_s)
            await in_flight.crowded()
        scope.cancel()

    async def _looks(self, source: EventFollower, event: Event) -> Sequence[str]:
        try:
            return await source.check(event.key)
        except NotFoundError:
            # Deleted since the sources were listed; the message may concern others.
            return ()

    def _concerned(self, event: Event, sources: Sequence[EventFollower]) -> list[EventFollower]:
        """Return the sources that have not yet settled this event."""
        of_bucket = [source for source in sources if source.bucket_in_events == event.bucket]
        if not of_bucket:
            self.stats.ignored += 1
            log.warning("queue.foreign_bucket", queue=self.queue_url, bucket=event.bucket)
        concerned = [source for source in of_bucket if not event.key or source.takes(event.key)]
        news = [source for source in concerned if (source.id, event) not in self._settled_events]
        self.stats.duplicates += len(concerned) - len(news)
        return news

    def _remember(self, source: EventFollower, event: Event) -> None:
        """Remember a settled event, to recognise a duplicate. Its time, name and key must match too, not only the sequencer."""
        if event.sequencer and event.at:
            self._settled_events[source.id, event] = None
            if len(self._settled_events) > REMEMBERED_EVENTS:
                self._settled_events.popitem(last=False)

    async def _bury(self, in_flight: InFlight, message: Message, reason: str) -> None:
        """Record the reason, and leave the message to the queue's dead-letter queue if it has one."""
        self.stats.dead += 1
        log.warning("queue.poison", queue=self.queue_url, message=message.id, reason=reason, receives=message.receives)
        letter = UnreadableMessage(self.queue_url, message.id, reason, message.body, message.receives)
        receives, is_last = message.receives, False
        try:
            with contained("dead letter", queue=self.queue_url, message=message.id):
                receives = await self._followers.dead_letters.add(letter)
                is_last = receives >= self._settings.max_receives and not await self._puts_aside(message)
        except RetryableError:
            pass
        if is_last:
            in_flight.finish(message)
        else:
            await in_flight.give_back(message, min(self._settings.retry_cap_s, 2.0 ** min(receives, 12)))

    async def _puts_aside(self, message: Message) -> bool:
        try:
            return await self._queue.puts_aside(message)
        except PermanentError:
            # Without permission to find out, the message is not deleted, because somebody may want to investigate it.
            return True
