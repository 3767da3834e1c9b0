"""Keeps one poller running per event queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import BugError
from syncd.json_types import JsonObject
from syncd.runtime.containment import contained
from syncd.runtime.supervisor import Supervisor
from syncd.runtime.wakeup import Wakeup
from syncd.sources.s3.access import QueueAccess, QueueReader
from syncd.sources.s3.client import Connections
from syncd.sources.s3.event_store import DeadLetters
from syncd.sources.s3.journal import Journal
from syncd.sources.s3.poller import QueuePoller
from syncd.sources.s3.settings import PollerSettings, S3Section
from syncd.sources.s3.source import BucketSource

log = structlog.get_logger()

QUEUE_CHECK_EVERY_S = 60.0


class FollowedBuckets(Protocol):
    """The S3 sources of the daemon, as far as events concern them."""

    section: S3Section
    connections: Connections
    journal: Journal
    dead_letters: DeadLetters
    unopened: dict[str, str]
    """Reason by id of each source that currently cannot be opened."""

    async def readers(self) -> Mapping[str, Sequence[QueueReader]]:
        """Return the keys that each queue may be read with. A faulty source raises nothing."""
        ...

    async def of_queue(self, queue_url: str) -> Sequence[BucketSource]:
        """Return all sources whose events arrive in a queue."""
        ...


class Queues:
    """The actor that keeps one poller running for every queue that a source names."""

    name = "queues"

    def __init__(self, buckets: FollowedBuckets) -> None:
        self._buckets = buckets
        self._pollers = Supervisor("pollers")
        self._running: dict[str, tuple[QueuePoller, QueueAccess]] = {}
        """Each queue's poller, and how it reaches the queue."""
        self._changed = Wakeup()

    def sources_changed(self) -> None:
        """Check the sources again at once. Never waits, twice is safe."""
        self._changed.ring()

    def status(self) -> Sequence[JsonObject]:
        """Return each queue's statistics and, if it receives nothing, the reason (JSON values)."""
        return [{"queue_url": queue_url, **asdict(poller.stats)} for queue_url, (poller, _) in self._running.items()]

    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why a source's events cannot be received."""
        refused = [access.problems() for _, access in self._running.values()]
        return {
            source_id: reason for found in (*refused, self._buckets.unopened) for source_id, reason in found.items()
        }

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Start and stop pollers as sources come and go, until cancelled."""
        self._pollers, self._running = Supervisor("pollers"), {}
        async with anyio.create_task_group() as group:
            await group.start(self._pollers.run)
            task_status.started()
            while True:
                await self._reconcile()
                await self._changed.wait(QUEUE_CHECK_EVERY_S)

    async def _reconcile(self) -> None:
        wanted = await self._buckets.readers()
        for queue_url, (poller, access) in list(self._running.items()):
            if queue_url not in wanted or not access.takes(wanted[queue_url]):
                await self._pollers.remove(poller.name)
                del self._running[queue_url]
        for queue_url in wanted.keys() - self._running.keys():
            access = QueueAccess(queue_url, self._buckets.connections.sqs, wanted[queue_url])
            try:
                with contained("queue", queue=queue_url):
                    poller = self._poller(queue_url, access)
            except BugError as error:
                log.warning("sqs.poll_failed", queue=queue_url, reason=str(error), failures=1)
                continue
            self._running[queue_url] = poller, access
            await self._pollers.add(poller)

    def _poller(self, queue_url: str, access: QueueAccess) -> QueuePoller:
        sources: Callable[[], Awaitable[Sequence[BucketSource]]] = partial(self._buckets.of_queue, queue_url)
        settings = PollerSettings(visibility_s=self._buckets.section.visibility_s)
        return QueuePoller(queue_url, access, sources, self._buckets.journal, self._buckets.dead_letters, settings)
