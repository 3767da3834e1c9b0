"""The workers of one model as the daemon sees them: employed one by one, checked, given texts of one mailbox, replaced when lost.

How many there are is the cluster's affair: one for which it has no room waits in its queue and begins when a node joins.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

import anyio
import numpy as np
import structlog

from syncd.errors import PermanentError, PutOffError, RetryableError
from syncd.json_types import JsonObject
from syncd.model import Vectors
from syncd.pipeline.embed.front import EmbeddedText, EmbeddingWork
from syncd.pipeline.embed.probe import cosine
from syncd.pipeline.embed.record import SAME_MODEL_COSINE
from syncd.pipeline.ray.order import Order, runtime_versions
from syncd.runtime.frames import Frame
from syncd.runtime.mailbox import Mailbox, settling
from syncd.runtime.process import environment
from syncd.runtime.retry import Backoff
from syncd.runtime.worker import RemoteError, Worker

log = structlog.get_logger()

_DRIVER_MODULE = "syncd.pipeline.ray.driver"
_START_S, _LOOK_LIMIT_S = 120.0, 60.0
"""A head that is away keeps Ray's calls waiting for so long."""
_LOOK_S = 5.0
_GENTLE_S = 10.0
_CALL_S = 0.5
"""So long a batch may take: many times the few milliseconds of its way, and little that is left when other workers have nothing."""
_LEAST_BYTES, _MOST_BYTES = 2 << 10, 16 << 10
"""Of text: what a core computes at a time, and some share of what the daemon's queue has under way."""
_IN_FLIGHT = 2
"""Batches that a worker has at once: it computes one while another travels."""
_AT_ONCE = 1 << 16


class WorkerRefusedError(RetryableError):
    """A worker must not be used as it is: it would compute something else than this daemon."""


class RayWorkers:
    """Employs workers while `run` runs. `reference` are the vectors that this machine computes of the order's texts."""

    def __init__(
        self, order: Order, fingerprint: str, reference: Vectors, mailbox: Mailbox[str, EmbeddedText], backoff: Backoff
    ) -> None:
        self.names: dict[int, str] = {}
        """The workers that work now, by number."""
        self.nobody = anyio.Event()
        """Set while there is none."""
        self.nobody.set()
        self._order = order
        self._fingerprint = fingerprint
        self._reference = reference
        self._mailbox = mailbox
        self._backoff = backoff
        self._refusals: dict[int, str] = {}
        self._away = f"no Ray cluster at {order.cluster.address} has answered yet"

    @property
    def trouble(self) -> str:
        """Why a worker is refused, or why there is none; '' otherwise."""
        return next(iter(self._refusals.values()), "" if self.names else self._away)

    async def run(self) -> None:
        """Connect to the cluster again and again, and employ workers while it is there."""
        failures = 0
        while True:
            try:
                async with self._driver() as driver:
                    failures = 0
                    self._refusals.clear()
                    cluster = self._order.cluster
                    self._away = f"the Ray cluster at {cluster.address} has no room for a worker yet (cpus = {cluster.cpus:g}, gpus = {cluster.gpus:g})"
                    log.info("ray.connected", address=cluster.address, model=self._order.model.name)
                    await self._employ(driver)
            except* RetryableError as errors:
                self._away = _first(errors)
                log.warning("ray.away", model=self._order.model.name, reason=self._away)
            failures += 1
            await anyio.sleep(self._backoff.delay_s(failures))

    def _driver(self) -> Worker:
        of_ray = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        return Worker(
            f"ray {self._order.model.name}",
            _DRIVER_MODULE,
            [self._order.to_json()],
            env=environment(**of_ray),
            start_limit_s=_START_S,
            gentle_s=_GENTLE_S,
            at_once=_AT_ONCE,
        )

    async def _employ(self, driver: Worker) -> None:
        """Have as many workers as are wanted, or as the nodes hold. Raises a group of RetryableError when the driver is gone."""
        async with anyio.create_task_group() as tasks:
            employed = 0
            while True:
                look = await _ask(driver, {"op": "look"}, _LOOK_LIMIT_S)
                wanted: int = self._order.cluster.workers or look.header["room"]
                for number in range(employed, wanted):
                    tasks.start_soon(self._keep, driver, number)
                employed = max(employed, wanted)
                await anyio.sleep(_LOOK_S)

    async def _keep(self, driver: Worker, number: int) -> None:
        """Have one worker, and another one when it is lost, for as long as the driver lives."""
        failures = 0
        while driver.alive:
            try:
                name = await self._started(driver, number)
                failures = 0
                await self._serve(driver, number, name)
            except* RetryableError as errors:
                self._note(number, errors)
            failures += 1
            with suppress(RetryableError):
                await _ask(driver, {"op": "stop", "worker": number})
            await anyio.sleep(self._backoff.delay_s(failures))

    def _note(self, number: int, errors: ExceptionGroup[RetryableError]) -> None:
        reason, model = _first(errors), self._order.model.name
        if errors.subgroup(WorkerRefusedError):
            self._refusals[number] = reason
            log.error("ray.worker_refused", model=model, worker=number, reason=reason)
        else:
            self._away = reason
            log.warning("ray.worker_lost", model=model, worker=number, reason=reason)

    async def _started(self, driver: Worker, number: int) -> str:
        started = await _ask(driver, {"op": "start", "worker": number})
        name = f"{started.header['node']}, process {started.header['pid']}"
        if objection := self._objection(started.header, started.payload):
            raise WorkerRefusedError(f"a Ray worker on {name} is refused: {objection}")
        self._refusals.pop(number, None)
        return name

    def _objection(self, facts: Mapping[str, Any], payload: bytes) -> str:
        """Return why a worker does not compute what this machine does, '' if it does."""
        if refused := facts.get("refused"):
            return refused
        if (theirs := facts["versions"]) != (ours := runtime_versions()):
            return f"it has {_listed(theirs)}, this daemon {_listed(ours)}; install the same there"
        if facts["fingerprint"] != self._fingerprint:
            return f"it has another file of the model ({facts['fingerprint']}, not {self._fingerprint}); copy this machine's there"
        rows = np.frombuffer(payload, dtype=np.float32).reshape(self._reference.shape)
        if not (near := cosine(self._reference, rows)) >= SAME_MODEL_COSINE:
            return (
                f"it computes other vectors of known texts (cosine {near:.3f}); see the README about llama.cpp's builds"
            )
        return ""

    async def _serve(self, driver: Worker, number: int, name: str) -> None:
        log.info("ray.worker_joined", model=self._order.model.name, worker=number, name=name)
        if not self.names:
            self.nobody = anyio.Event()
        self.names[number] = name
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_ask, driver, {"op": "watch", "worker": number})
                for _ in range(_IN_FLIGHT):
                    tasks.start_soon(self._work, driver, number)
        finally:
            del self.names[number]
            if not self.names:
                self.nobody.set()

    async def _work(self, driver: Worker, number: int) -> None:
        room = _LEAST_BYTES
        while True:
            work = await self._mailbox.take_many(room, weight=len)
            with settling(work):
                texts, begin = [each.message for each in work], monotonic()
                _settle(work, await _ask(driver, {"op": "embed", "worker": number, "texts": texts}))
                in_time = sum(map(len, texts)) / (monotonic() - begin) * _CALL_S
                room = int(min(max(in_time, _LEAST_BYTES), _MOST_BYTES))


async def _ask(driver: Worker, header: JsonObject, limit_s: float = math.inf) -> Frame:
    """Return the driver's reply, however long it takes: the driver keeps the workers' leases. Raises RetryableError."""
    try:
        return await driver.call(header, timeout_s=limit_s)
    except RemoteError as error:
        raise RetryableError(f"the cluster's driver failed: {error}") from error


def _settle(work: list[EmbeddingWork], answer: Frame) -> None:
    rows = np.frombuffer(answer.payload, dtype=np.float32).reshape(len(work), -1)
    errors: Mapping[str, tuple[str, bool]] = answer.header["errors"]
    for number, (each, row, tokens) in enumerate(zip(work, rows, answer.header["tokens"], strict=True)):
        if (error := errors.get(str(number))) is None:
            each.reply.settle(EmbeddedText(row, tokens))
        else:
            reason, may_pass = error
            each.reply.fail((PutOffError if may_pass else PermanentError)(reason))


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {number}" for package, number in versions.items())


def _first(errors: BaseExceptionGroup[RetryableError]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
