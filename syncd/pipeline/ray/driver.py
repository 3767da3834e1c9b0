"""The driver of a Ray cluster, in a process of its own: `python -m syncd.pipeline.ray.driver ORDER`, frames over stdin and stdout.

Ray ends its driver's process when the head has been away for a minute, takes over its signals, and has calls that block; none of
that may happen to the daemon. Requests, each answered with one frame as soon as it can be:

    {"op": "look"}                                  → {"room": 4, "nodes": ["a", ...]}, how many workers the cluster's nodes can
                                                      hold, and what the nodes call themselves
    {"op": "start", "worker": 3}                    → what the worker says of itself (`RayActor.start`); waits until the cluster has
                                                      room, or a node that has no such worker yet, however long
    {"op": "ask", "worker": 3, "ask": {...}}        → what the worker answers (`RayActor.answer`); a "file" beside it is read, and
                                                      travels through the object store where it is large
    {"op": "watch", "worker": 3}                    → RetryableError, with the reason, when the worker is lost
    {"op": "stop", "worker": 3}                     → {}

A worker is leased: it must answer a beat every few seconds, whatever it computes. One that does not is ended, what it was asked fails
with RetryableError at once, and an answer that comes later is dropped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from syncd.errors import RetryableError
from syncd.json_types import JsonObject
from syncd.pipeline.ray.actor import CALLS_AT_ONCE
from syncd.pipeline.ray.embedding_actor import EmbeddingActor
from syncd.pipeline.ray.order import EmbeddingOrder, Order
from syncd.pipeline.ray.preparing_actor import PreparingActor
from syncd.runtime.child import Channel, open_channel
from syncd.runtime.child_tasks import serve_at_once
from syncd.runtime.frames import Frame

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
_grpc: Any = import_module("grpc")
_ray: Any = import_module("ray")
_errors: Any = import_module("ray.exceptions")
_scheduling: Any = import_module("ray.util.scheduling_strategies")
_LOST = (_errors.RayError, _grpc.RpcError, ConnectionError, TimeoutError)

_BEAT_S = 5.0
_LOOK_S = 2.0
"""Between two looks for a node without a worker: Ray tells nobody that one has joined."""
_LEASE_S = 30.0
"""Of silence, after which a worker counts as lost: a node under load, or a network with an interruption, must not seem dead."""
_NEVER_AGAIN = {"max_restarts": 0, "max_task_retries": 0}
"""What is lost is asked again by the daemon, which knows whether it is still wanted."""


class LeasedWorker:
    """One actor, and whether it is still ours. `node` is where it is to be, or '' where Ray chooses that."""

    def __init__(self, actor: Any, node: str = "") -> None:
        self._actor, self.node = actor, node
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._beating: asyncio.Task[None] | None = None

    async def start(self, order: Order) -> Frame:
        """Wait for its place in the cluster and for it to be ready. Raises RetryableError when it is lost meanwhile."""
        await self._ask("beat")
        self._beating = asyncio.create_task(self._beat())
        return Frame(*await self._ask("start", order.work))

    async def answer(self, request: JsonObject, payload: bytes) -> Frame:
        """Return what it answers. Raises RetryableError when it is lost meanwhile, or cannot work now."""
        return Frame(*await self._ask("answer", request, payload))

    async def watch(self) -> NoReturn:
        """Wait until it is lost. Raises RetryableError then, which says why."""
        raise RetryableError(await asyncio.shield(self._lost))

    def end(self, why: str) -> None:
        """Give the lease up, and end the actor. Twice is safe."""
        if not self._lost.done():
            self._lost.set_result(why)
        if self._beating is not None:
            self._beating.cancel()
        with suppress(*_LOST):
            _ray.kill(self._actor)

    async def _beat(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LEASE_S):
                    await self._ask("beat")
            except TimeoutError:
                return self.end(f"the worker was lost: no answer for {_LEASE_S:g} s")
            except RetryableError as error:
                return self.end(str(error))
            await asyncio.sleep(_BEAT_S)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            call = getattr(self._actor, method).remote(*arguments)
            answer: asyncio.Future[Any] = asyncio.wrap_future(call.future())
            await asyncio.wait([answer, self._lost], return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        except _LOST as error:
            raise RetryableError(f"the worker was lost: {_in_one_line(error)}") from error
        return await self.watch()


class Driver:
    """Answers the requests above."""

    def __init__(self, order: Order) -> None:
        self._order, cluster = order, order.cluster
        self._wanted = {name: share for name, share in (("CPU", cluster.cpus), ("GPU", cluster.gpus)) if share}
        shares = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus} if self._wanted else {}
        options = {**shares, "max_concurrency": CALLS_AT_ONCE, **_NEVER_AGAIN}
        actor = EmbeddingActor if isinstance(order.work, EmbeddingOrder) else PreparingActor
        self._make: Any = _ray.remote(**options)(actor)
        self._workers: dict[int, LeasedWorker] = {}

    async def handle(self, request: Frame) -> Frame:
        """Answer one request. Raises RetryableError."""
        match request.header:
            case {"op": "look"}:
                nodes = (await asyncio.to_thread(self._nodes)).values()
                return Frame({"room": self._room(nodes), "nodes": [node["NodeManagerHostname"] for node in nodes]})
            case {"op": "start", "worker": number}:
                return await self._start(number)
            case {"op": "ask", "worker": number, "ask": asked, **more}:
                file = more.get("file")
                payload = await asyncio.to_thread(Path(file).read_bytes) if file else request.payload
                return await self._workers[number].answer(asked, payload)
            case {"op": "watch", "worker": number}:
                return await self._workers[number].watch()
            case {"op": "stop", "worker": number}:
                if (worker := self._workers.pop(number, None)) is not None:
                    worker.end("the worker was given up")
                return Frame()
            case unknown:
                raise ValueError(f"unknown request {unknown!r}")

    async def _start(self, number: int) -> Frame:
        if self._wanted:
            worker = LeasedWorker(self._make.remote())
        else:
            # Ray would place what asks for nothing anywhere, and leave machines idle that joined later or came back.
            node = await self._node()
            there = _scheduling.NodeAffinitySchedulingStrategy(node, soft=False)
            worker = LeasedWorker(self._make.options(scheduling_strategy=there).remote(), node)
        self._workers[number] = worker
        return await worker.start(self._order)

    async def _node(self) -> str:
        """Return the node with the fewest workers. Waits for one that has none where their number is the nodes'."""
        while True:
            nodes = await asyncio.to_thread(self._nodes)
            taken = Counter(worker.node for worker in self._workers.values())
            node = min(nodes, key=taken.__getitem__, default="")
            if node and not (taken[node] and self._order.cluster.workers == 0):
                return node
            await asyncio.sleep(_LOOK_S)

    def _room(self, nodes: Collection[Mapping[str, Any]]) -> int:
        if not self._wanted:
            return len(nodes)
        of_nodes = [node["Resources"] for node in nodes]
        return sum(min(int(has.get(name, 0) / share) for name, share in self._wanted.items()) for has in of_nodes)

    def _nodes(self) -> dict[str, Mapping[str, Any]]:
        """Return the living nodes, by id; those without a core only where workers ask for something else."""
        try:
            nodes: list[Mapping[str, Any]] = _ray.nodes()
        except _LOST as error:
            raise RetryableError(f"the cluster does not say what nodes it has: {_in_one_line(error)}") from error
        living = {node["NodeID"]: node for node in nodes if node["Alive"]}
        return {number: node for number, node in living.items() if self._wanted or node["Resources"].get("CPU", 0) > 0}


def _in_one_line(error: Any) -> str:
    """Return what an error of Ray says: those of actors come with a traceback, whose last line says it, those of the connection
    with all that gRPC knows of it.
    """
    said = str(error.details()) if isinstance(error, _grpc.Call) else str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


def _connect(order: Order) -> None:
    """Connect to the cluster. Raises RetryableError."""
    try:
        _ray.init(address=order.cluster.address, configure_logging=False, log_to_driver=False)
    except (*_LOST, RuntimeError, ValueError, OSError) as error:
        raise RetryableError(_in_one_line(error)) from error


async def _serve(channel: Channel, driver: Driver) -> None:
    me = asyncio.current_task()
    assert me is not None
    # Leaving gently tells the cluster that its workers are free, which it would find out by itself half a minute later.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    with suppress(asyncio.CancelledError):
        await serve_at_once(channel, driver.handle)


def main() -> None:
    """Serve until the parent closes the pipe."""
    channel = open_channel()
    order = Order.from_json(sys.argv[1])
    try:
        _connect(order)
    except RetryableError as error:
        channel.serve(partial(_refuse, error), {"error": {"kind": "retryable", "message": str(error)}})
        return
    asyncio.run(_serve(channel, Driver(order)))
    _ray.shutdown()


def _refuse(error: RetryableError, _: Frame) -> Frame:
    raise error


if __name__ == "__main__":
    main()
