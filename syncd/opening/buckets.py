"""Opens S3 sources, and keeps one poller running per event queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import PermanentError
from syncd.model import SourceRecord, SourceType
from syncd.runtime.keylocks import KeyLocks
from syncd.runtime.supervisor import Supervisor
from syncd.sources.s3.client import Connections
from syncd.sources.s3.journal import Journal
from syncd.sources.s3.poller import QueuePoller
from syncd.sources.s3.rules import check_bucket, check_prefix
from syncd.sources.s3.settings import AutoSync, AwsKey, Endpoint, S3Settings, Transport, settings_from
from syncd.sources.s3.source import S3Source, S3Sources
from syncd.store import Store
from syncd.store.s3 import Labels
from syncd.store.s3_queue import DeadLetters, Looks

log = structlog.get_logger()

LOOK_EVERY_S = 60.0
Queue = tuple[str, Endpoint]


class Buckets:
    """The S3 sources of the daemon. `wake` is set by whoever takes up invocations, before anything runs."""

    def __init__(self, store: Store, transport: Transport) -> None:
        self._store = store
        self.wake: Callable[[], None] = lambda: None
        self.connections = Connections(transport)
        self.journal = Journal(Looks(store.database), lambda: self.wake())
        self.dead_letters = DeadLetters(store.database)
        self._sources = S3Sources(self.connections, Labels(store.database), self.journal, KeyLocks())

    async def open(self, record: SourceRecord) -> S3Source:
        """Return the source of a record. Raises PermanentError when its settings or its credential cannot be used."""
        return self._sources.open(record.id, await self.settings(record))

    async def settings(self, record: SourceRecord) -> S3Settings:
        """Return a record's settings with its key, if it has one, in the clear."""
        number = record.settings.get("aws_credential_id")
        if number is None:
            return settings_from(record.settings)
        secret = await self._store.credentials.get(number, record.database)
        return settings_from(record.settings, AwsKey(secret["aws_access_key_id"], secret["aws_secret_access_key"]))

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise PermanentError where a bucket's settings cannot work."""
        check_bucket(settings["bucket_name"])
        check_prefix(settings.get("path_prefix") or "")

    async def of_queue(self, queue: Queue) -> Sequence[S3Source]:
        """Return the sources whose events arrive in a queue."""
        found: list[S3Source] = []
        for record, settings in await self.listening():
            if (settings.queue_url, settings.endpoint) == queue:
                found.append(self._sources.open(record.id, settings))
        return found

    async def listening(self) -> Sequence[tuple[SourceRecord, S3Settings]]:
        """Return the sources that follow a queue; one that cannot be opened is logged and left out."""
        found: list[tuple[SourceRecord, S3Settings]] = []
        for record in await self._store.sources.list(type=SourceType.S3, limit=-1):
            try:
                settings = await self.settings(record)
            except PermanentError as error:
                log.warning("source.refused", source=record.name or record.id, reason=str(error))
                continue
            if settings.auto_sync is not AutoSync.NONE and settings.queue_url:
                found.append((record, settings))
        return found

    async def close(self) -> None:
        """Close the connections. Twice is safe."""
        await self.connections.close()


class Queues:
    """The actor that keeps one poller running for every queue that a source names."""

    name = "queues"

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._pollers = Supervisor("pollers")
        self._running: dict[Queue, str] = {}
        self._changed = anyio.Event()

    def sources_changed(self) -> None:
        """Look at the sources again now. Never waits, twice is safe."""
        self._changed.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Poll until cancelled."""
        self._pollers, self._running = Supervisor("pollers"), {}
        async with anyio.create_task_group() as group:
            await group.start(self._pollers.run)
            task_status.started()
            while True:
                self._changed = anyio.Event()
                await self._look()
                with anyio.move_on_after(LOOK_EVERY_S):
                    await self._changed.wait()

    async def _look(self) -> None:
        wanted = {(settings.queue_url or "", settings.endpoint) for _, settings in await self._buckets.listening()}
        for queue in self._running.keys() - wanted:
            await self._pollers.remove(self._running.pop(queue))
        for queue in wanted - self._running.keys():
            poller = self._poller(queue)
            self._running[queue] = poller.name
            await self._pollers.add(poller)

    def _poller(self, queue: Queue) -> QueuePoller:
        url, endpoint = queue
        sources: Callable[[], Awaitable[Sequence[S3Source]]] = partial(self._buckets.of_queue, queue)
        connection = self._buckets.connections.sqs(endpoint)
        return QueuePoller(url, connection, sources, self._buckets.journal, self._buckets.dead_letters)
