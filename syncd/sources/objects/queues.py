"""Keeps one poller running per event queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from syncd.sources.objects.access import QueueAccess, QueueReader
from syncd.sources.objects.event_queue import PollerSettings
from syncd.sources.objects.poller import Followers, QueuePoller

log = structlog.get_logger()

QUEUE_CHECK_EVERY_S = 60.0


class FollowedQueues(Followers, Protocol):
    """The sources of one type, and what their queues are read with."""

    unopened: dict[str, str]
    """Reason by id of each source that currently cannot be opened."""

    async def readers(self) -> Mapping[str, Sequence[QueueReader]]:
        """Return the keys that each queue may be read with. A faulty source raises nothing."""
        ...


class Queues:
    """The actor that keeps one poller running for every queue that a source of one type names."""

    def __init__(self, name: str, followed: FollowedQueues, settings: PollerSettings) -> None:
        self.name = name
        self._followed = followed
        self._settings = settings
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
            source_id: reason for found in (*refused, self._followed.unopened) for source_id, reason in found.items()
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
        wanted = await self._followed.readers()
        for queue_url, (poller, access) in list(self._running.items()):
            if queue_url not in wanted or not access.takes(wanted[queue_url]):
                await self._pollers.remove(poller.name)
                del self._running[queue_url]
        for queue_url in wanted.keys() - self._running.keys():
            access = QueueAccess(queue_url, wanted[queue_url])
            try:
                with contained("queue", queue=queue_url):
                    poller = QueuePoller(queue_url, access, self._followed, self._settings)
            except BugError as error:
                log.warning("queue.poll_failed", queue=queue_url, reason=str(error), failures=1)
                continue
            self._running[queue_url] = poller, access
            await self._pollers.add(poller)
