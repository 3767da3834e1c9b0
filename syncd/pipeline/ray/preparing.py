"""Preparing as a kind of work for a cluster's workers: who may do it, and how those who have a document borrow a worker."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from syncd.errors import RetryableError
from syncd.pipeline.embed.engine import Cluster
from syncd.pipeline.prepare.process import PREPARE_WORKER_MODULE, PreparerSettings
from syncd.pipeline.ray.order import Order, PreparingOrder, version_difference
from syncd.pipeline.ray.preparing_versions import preparing_versions
from syncd.pipeline.ray.workers import RayWorker, RayWorkers
from syncd.runtime.mailbox import Mailbox, Reply
from syncd.runtime.retry import Backoff

_WAITING = 1024
_TEXTS = 2
"""Texts that a worker has at once: one is read while another travels. Other documents are too long for that to count."""

Wishes = Mailbox[Reply[None], RayWorker]
"""Of those who want a worker. Each wish is settled when its worker is given back, or fails with what was wrong with it."""


@dataclass(slots=True)
class PreparingKind:
    """Documents to prepare. `versions` is what decides the outcome on this machine. Texts do not wait for scans."""

    name: str
    order: Order
    versions: Mapping[str, str]
    texts: Wishes
    documents: Wishes

    @property
    def mailboxes(self) -> tuple[Wishes, ...]:
        """Where wishes wait."""
        return self.texts, self.documents

    def objection(self, facts: Mapping[str, Any], payload: bytes) -> str:
        """Return why a worker would make something else of a document, '' if it would not."""
        return version_difference(facts["versions"], self.versions)

    async def serve(self, worker: RayWorker) -> None:
        """Lend it to those who wait, for ever. Raises a group of RetryableError when one of them has found it wanting."""
        async with anyio.create_task_group() as tasks:
            for _ in range(_TEXTS):
                tasks.start_soon(_lend, self.texts, worker)
            tasks.start_soon(_lend, self.documents, worker)


class RayPreparers:
    """An actor that employs workers which prepare documents with these settings, for `RayPreparer`."""

    name = "prepare (ray)"

    def __init__(
        self,
        cluster: Cluster,
        settings: PreparerSettings,
        module: str = PREPARE_WORKER_MODULE,
        backoff: Backoff | None = None,
    ) -> None:
        self.settings = settings
        self.numbers = itertools.count(1)
        """Each document that travels has one."""
        self.order = Order(cluster, PreparingOrder(settings, module))
        self._backoff = backoff
        self._texts = Wishes("texts (ray)", _WAITING)
        self._documents = Wishes("documents (ray)", _WAITING)
        self._workers: RayWorkers | None = None

    @property
    def shortfall(self) -> str:
        """Why a worker is refused, or there is none; '' otherwise."""
        if self._workers is None or not (trouble := self._workers.trouble):
            return ""
        return trouble if self._workers.names else f"{trouble}; this machine prepares alone"

    @property
    def elsewhere(self) -> Sequence[str]:
        """The workers that prepare now."""
        return sorted(self._workers.names.values()) if self._workers else ()

    async def run(self) -> None:
        """Employ workers until cancelled."""
        versions = await anyio.to_thread.run_sync(preparing_versions, self.settings)
        kind = PreparingKind("preparing", self.order, versions, self._texts, self._documents)
        self._workers = RayWorkers(kind, self._backoff)
        await self._workers.run()

    @asynccontextmanager
    async def borrowed(self, *, is_text: bool, urgent: bool) -> AsyncGenerator[RayWorker]:
        """Yield a worker; waits for one. Raises RetryableError when none is left; one that the block raises costs the worker its place."""
        wish, mailbox = Reply[None](), self._texts if is_text else self._documents
        try:
            yield await mailbox.ask(wish, urgent=urgent)
        except RetryableError as error:
            wish.fail(error)
            raise
        finally:
            wish.settle(None)


async def _lend(wishes: Wishes, worker: RayWorker) -> None:
    while True:
        for each in await wishes.take_many(1):
            each.reply.settle(worker)
            await each.message
