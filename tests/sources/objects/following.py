"""A daemon in one process that follows events of Google's and Azure's stores: all but the vector store is the real part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from syncd.model import SourceSchedule
from syncd.runtime.wakeup import Wakeup
from syncd.sources.azure_blob.factory import AzureFactory
from syncd.sources.azure_blob.settings import AzureSourceSettings
from syncd.sources.factory import Machine
from syncd.sources.gcs.factory import GcsFactory
from syncd.sources.gcs.settings import GcsSourceSettings
from syncd.sources.objects.event_queue import PollerSettings
from syncd.sources.objects.poller import QueuePoller
from tests.azure_queues import encoded, grid_event
from tests.azure_server import ACCOUNT, KEY, Azure
from tests.memory_target import MemoryTarget
from tests.pipeline.parts import CHUNKING, MODEL, Parts
from tests.pubsub_server import notification
from tests.sources.objects.clouds import Cloud
from tests.sources.s3.syncing import DB, Daemon, assembled

QUICK: dict[str, Any] = {"wait_s": 1, "visibility_s": 30, "retry_cap_s": 0.0}


@dataclass
class Told:
    """A fresh bucket or container whose changes are told in a queue of its own."""

    cloud: Cloud
    service: Any
    folder: Path

    @property
    def is_azure(self) -> bool:
        return isinstance(self.cloud.server, Azure)

    def make_queue(self, **settings: Any) -> None:
        if self.is_azure:
            self.service.queues[self.cloud.name] = []
        else:
            self.service.subscribe(self.cloud.name, **settings)

    @property
    def queue_url(self) -> str:
        address = self.service.queue_url if self.is_azure else self.service.subscription_url
        return address(self.cloud.name)

    def send(self, key: str, *, removed: bool = False, bucket: str = "") -> None:
        """Tell of a key."""
        bucket = bucket or self.cloud.name
        if self.is_azure:
            told = grid_event(bucket, key, "BlobDeleted" if removed else "BlobCreated")
            self.service.put(self.cloud.name, encoded(told))
        else:
            self.service.publish(
                self.cloud.name, notification(bucket, key, "OBJECT_DELETE" if removed else "OBJECT_FINALIZE")
            )

    def send_nonsense(self) -> None:
        if self.is_azure:
            self.service.put(self.cloud.name, "no JSON")
        else:
            self.service.publish(self.cloud.name, {}, b"no JSON")

    @property
    def waiting(self) -> int:
        """Return how many messages are not deleted."""
        return len(
            self.service.queues[self.cloud.name]
            if self.is_azure
            else self.service.subscriptions[self.cloud.name].messages
        )

    @property
    def hidden(self) -> int:
        """Return how often messages were hidden anew, besides when they were received."""
        if self.is_azure:
            return self.service.hidden
        subscription = self.service.subscriptions[self.cloud.name]
        return subscription.extended - sum(message.deliveries for message in subscription.messages)

    async def put(self, key: str, body: str) -> None:
        """Write an object, and tell of it."""
        await self.cloud.put(key, body)
        self.send(key)

    async def delete(self, key: str) -> None:
        """Delete an object, and tell of it."""
        await self.cloud.delete(key)
        self.send(key, removed=True)

    def key_file(self, text: str = "") -> str:
        """Write a credential's file, the right one or another, and return its path."""
        file = self.folder / f"{'wrong' if text else 'right'}.key"
        file.write_text(text or (KEY if self.is_azure else self.cloud.server.key_file()))
        return str(file)

    def settings(self, collection: str = "docs", **values: Any) -> Any:
        common = {
            "queue_url": self.queue_url,
            "credential_file": self.key_file(),
            "schedule": SourceSchedule(interval_s=86400, target_collection_name=collection),
            **values,
        }
        if self.is_azure:
            endpoint = self.cloud.server.endpoint
            return AzureSourceSettings(
                account_name=ACCOUNT, container_name=self.cloud.name, endpoint_url=endpoint, **common
            )
        return GcsSourceSettings(bucket_name=self.cloud.name, endpoint_url=self.cloud.server.url, **common)

    @property
    def type_name(self) -> str:
        return "azure_blob" if self.is_azure else "gcs"


class CloudDaemon(Daemon):
    """A daemon with the sources of one of these types."""

    async def declare(self, told: Told, name: str = "docs", **values: Any) -> str:
        """Store a source as the configuration declares it, and return its id."""
        record = await self.store.sources.create(
            told.type_name, DB, told.settings(**values), MODEL, CHUNKING, name=name
        )
        return record.id

    def poller(self, told: Told, reader: Any, **settings: Any) -> QueuePoller:
        """Return a poller of the queue, in a hurry."""
        return QueuePoller(told.queue_url, reader.queue, self.factory.followed, PollerSettings(**QUICK | settings))

    async def until_quiet(self, told: Told) -> None:
        """Wait until the queue is empty and every invocation has ended."""
        with anyio.fail_after(120):
            while told.waiting or await self.unsettled():  # noqa: ASYNC110 - another thread's server
                await anyio.sleep(0.02)


@asynccontextmanager
async def cloud_daemon(told: Told) -> AsyncIterator[CloudDaemon]:
    """Open a daemon on a folder of its own."""
    wakeup = Wakeup()
    kind = AzureFactory if told.is_azure else GcsFactory

    async def make(parts: Parts) -> Any:
        return kind(Machine(told.folder, parts.store, wake=wakeup.ring))

    async with assembled(CloudDaemon, told.folder / "state", make, wakeup, MemoryTarget(DB)) as daemon, daemon.factory:
        yield daemon


@asynccontextmanager
async def polling(daemon: CloudDaemon, told: Told, **settings: Any) -> AsyncIterator[QueuePoller]:
    """Poll the queue with the first source's key for the length of a block."""
    (reader, *_) = (await daemon.factory.followed.readers())[told.queue_url]
    poller = daemon.poller(told, reader, **settings)
    async with anyio.create_task_group() as group:
        await group.start(poller.run)
        yield poller
        group.cancel_scope.cancel()
