"""The workers of one kind as the daemon sees them: employed one by one, checked, given work, replaced when lost.

How many there are is the cluster's affair: one for which it has no room waits in its queue and begins when a node joins.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import anyio
import structlog

from syncd.errors import RetryableError
from syncd.json_types import JsonObject
from syncd.pipeline.embed.engine import Cluster
from syncd.pipeline.ray.order import Order
from syncd.runtime.frames import Frame
from syncd.runtime.mailbox import Mailbox
from syncd.runtime.process import environment
from syncd.runtime.retry import Backoff
from syncd.runtime.worker import RemoteError, Worker

log = structlog.get_logger()

_DRIVER_MODULE = "syncd.pipeline.ray.driver"
_START_S, _LOOK_LIMIT_S = 120.0, 60.0
"""A head that is away keeps Ray's calls waiting for so long."""
_LOOK_S = 5.0
_GENTLE_S = 10.0
_AT_ONCE = 1 << 16
WORKERS_TRIED = 3
"""So often workers are asked for the same before it is done here: it may be what they die of."""


class WorkerRefusedError(RetryableError):
    """A worker on `node` must not be used as it is: it would make something else than this daemon."""

    def __init__(self, node: str, message: str) -> None:
        super().__init__(message)
        self.node = node


@dataclass(frozen=True, slots=True)
class RayWorker:
    """A worker that is at work now. `name` says where."""

    driver: Worker
    number: int
    name: str

    async def ask(self, request: JsonObject, payload: bytes = b"", **more: str) -> Frame:
        """Return its answer, however long it takes: the driver keeps its lease. Raises RetryableError when it is lost."""
        return await _ask(self.driver, {"op": "ask", "worker": self.number, "ask": request, **more}, payload=payload)


class WorkKind(Protocol):
    """What workers are employed for."""

    @property
    def name(self) -> str:
        """What logs call it."""
        ...

    @property
    def order(self) -> Order:
        """What workers are told."""
        ...

    @property
    def mailboxes(self) -> Sequence[Mailbox[Any, Any]]:
        """Where what they are to do waits."""
        ...

    def objection(self, facts: Mapping[str, Any], payload: bytes) -> str:
        """Return why a worker would not make what this machine makes, by what it says of itself; '' if it would."""
        ...

    async def serve(self, worker: RayWorker) -> None:
        """Have it do what waits, for ever. Raises a group of RetryableError when it cannot any more."""
        ...


class RayWorkers:
    """Employs workers while `run` runs. What waits for them while there is none fails with RetryableError."""

    def __init__(self, kind: WorkKind, backoff: Backoff | None = None) -> None:
        self.names: dict[int, str] = {}
        """The workers that work now, by number."""
        self._kind = kind
        self._backoff = backoff or Backoff(cap_s=15.0)
        self._nobody = anyio.Event()
        """Set while there is none."""
        self._nobody.set()
        self._somebody = anyio.Event()
        """Set while there is one."""
        self._refusals: dict[int, WorkerRefusedError] = {}
        """The last of each worker, until it starts, or the node has left."""
        self._away = f"no Ray cluster at {kind.order.cluster.address} has answered yet"

    @property
    def trouble(self) -> str:
        """Why a worker is refused, or why there is none; '' otherwise."""
        return next(map(str, self._refusals.values()), "" if self.names else self._away)

    async def run(self) -> None:
        """Connect to the cluster again and again, and employ workers while it is there."""
        async with anyio.create_task_group() as tasks:
            for mailbox in self._kind.mailboxes:
                tasks.start_soon(self._return_unserved, mailbox)
            await self._connect()

    async def _connect(self) -> None:
        failures, cluster = 0, self._kind.order.cluster
        while True:
            try:
                async with self._driver() as driver:
                    failures = 0
                    self._refusals.clear()
                    self._away = f"the Ray cluster at {cluster.address} has no room for a worker yet{_share(cluster)}"
                    log.info("ray.connected", address=cluster.address, work=self._kind.name)
                    await self._employ(driver)
            except* RetryableError as errors:
                self._away = f"the Ray cluster at {cluster.address} is out of reach: {_first(errors)}"
                log.warning("ray.away", work=self._kind.name, reason=self._away)
            failures += 1
            await anyio.sleep(self._backoff.delay_s(failures))

    def _driver(self) -> Worker:
        of_ray = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        return Worker(
            f"ray {self._kind.name}",
            _DRIVER_MODULE,
            [self._kind.order.to_json()],
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
                nodes = look.header["nodes"]
                self._refusals = {number: each for number, each in self._refusals.items() if each.node in nodes}
                wanted: int = self._kind.order.cluster.workers or look.header["room"]
                for number in range(employed, wanted):
                    tasks.start_soon(self._keep, driver, number)
                employed = max(employed, wanted)
                await anyio.sleep(_LOOK_S)

    async def _keep(self, driver: Worker, number: int) -> None:
        """Have one worker, and another one when it is lost, for as long as the driver lives."""
        failures = 0
        while driver.alive:
            try:
                worker = await self._started(driver, number)
                failures = 0
                await self._serve(worker)
            except* RetryableError as errors:
                self._note(number, errors)
            failures += 1
            with suppress(RetryableError):
                await _ask(driver, {"op": "stop", "worker": number})
            await anyio.sleep(self._backoff.delay_s(failures))

    def _note(self, number: int, errors: ExceptionGroup[RetryableError]) -> None:
        reason, work = _first(errors), self._kind.name
        if errors.subgroup(WorkerRefusedError):
            log.error("ray.worker_refused", work=work, worker=number, reason=reason)
        else:
            self._away = reason
            log.warning("ray.worker_lost", work=work, worker=number, reason=reason)

    async def _started(self, driver: Worker, number: int) -> RayWorker:
        started = await _ask(driver, {"op": "start", "worker": number})
        facts = started.header
        name = f"{facts['node']}, process {facts['pid']}"
        if objection := facts.get("refused") or self._kind.objection(facts, started.payload):
            refusal = WorkerRefusedError(facts["node"], f"a Ray worker on {name} is refused: {objection}")
            self._refusals[number] = refusal
            raise refusal
        self._refusals.pop(number, None)
        return RayWorker(driver, number, name)

    async def _serve(self, worker: RayWorker) -> None:
        log.info("ray.worker_joined", work=self._kind.name, worker=worker.number, name=worker.name)
        if not self.names:
            self._nobody = anyio.Event()
            self._somebody.set()
        self.names[worker.number] = worker.name
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_ask, worker.driver, {"op": "watch", "worker": worker.number})
                tasks.start_soon(self._kind.serve, worker)
        finally:
            del self.names[worker.number]
            if not self.names:
                self._somebody = anyio.Event()
                self._nobody.set()

    async def _return_unserved(self, mailbox: Mailbox[Any, Any]) -> None:
        """Have what was put in for workers, of whom none is left, done here by those who wait for it."""
        while True:
            await self._nobody.wait()
            await mailbox.serve_until(self._somebody, _refuse)


async def _refuse(_: object) -> NoReturn:
    raise RetryableError("no Ray worker is left")


async def _ask(driver: Worker, header: JsonObject, limit_s: float = math.inf, payload: bytes = b"") -> Frame:
    """Return the driver's reply, however long it takes: the driver keeps the workers' leases. Raises RetryableError."""
    try:
        return await driver.call(header, payload, timeout_s=limit_s)
    except RemoteError as error:
        raise RetryableError(f"the cluster's driver failed: {error}") from error


def _share(cluster: Cluster) -> str:
    return f" (cpus = {cluster.cpus:g}, gpus = {cluster.gpus:g})" if cluster.cpus or cluster.gpus else ""


def _first(errors: BaseExceptionGroup[RetryableError]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
