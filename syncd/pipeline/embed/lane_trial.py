"""Measures a model's lanes: one process and several in turns, between two batches, without keeping a query waiting."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from time import monotonic

import anyio
import structlog

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.embed.lanes import Lanes, counts, own_bytes, spare_bytes
from syncd.pipeline.embed.process import ModelProcess
from syncd.pipeline.embed.variant import PROBE_TEXTS, RunSettings
from syncd.pipeline.embed.windows import TokenIds

_LIMIT_S = 20.0
"""No comparison begins later: slow models on many cores keep the best found so far."""
_ROUND_S = 0.3
"""Of one side, and at least one call."""
_CALL_S = 1.0
"""A call of a slow model is cut to about so long: a query waits for it, as it does for a batch."""
_LOOK_S = 0.02
_PAIRS = 5
_LEAST_PAIRS = 2
_WORTH_IT = 1.04
"""The least gain that counts: below, fewer processes are better, for their memory."""
_SPEED_TEXT = PROBE_TEXTS[0] * 3
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Queries:
    """What overtakes a measurement: whether texts wait that may not, and what computes them."""

    waiting: Callable[[], int]
    serve: Callable[[], Awaitable[None]]

    async def serve_until(self, over: anyio.Event) -> None:
        """Serve them as they come."""
        while not over.is_set():
            await self.serve()
            with anyio.move_on_after(_LOOK_S):
                await over.wait()


@dataclass(frozen=True, slots=True)
class LaneTrial:
    """Measures the lanes of a model. `start` returns a process, not yet started. All lanes together have at most
    `memory_bytes` to themselves; while it is measured there is one process more.
    """

    name: str
    settings: RunSettings
    start: Callable[[RunSettings], ModelProcess]
    memory_bytes: int

    async def choose(self, process: ModelProcess, queries: Queries) -> Lanes | None:
        """Return the lanes with which the model is certainly faster than as `process`, which is not stopped; None: it could
        not be told.

        Takes some seconds, in which the caller must compute nothing with `process`.
        """
        try:
            usual = _Side([process], await _calls(process))
        except (RetryableError, PermanentError) as error:
            self._log_failure(error, Lanes())
            return None
        until = monotonic() + _LIMIT_S
        best, gain = Lanes(), _WORTH_IT
        spare = spare_bytes()
        memory_bytes = self.memory_bytes if spare is None else min(self.memory_bytes, spare // 2)
        for count in counts(self.settings.all_threads(), memory_bytes, own_bytes(process.pid)):
            if (found := await self._gain(usual, Lanes(count), queries, until)) is None:
                return None if best.count == 1 else best
            if found <= gain:
                break
            best, gain = Lanes(count), found * _WORTH_IT
        if best.count > 1 and hasattr(os, "sched_setaffinity"):
            pinned = replace(best, pinned=True)
            if (await self._gain(usual, pinned, queries, until) or 0) > gain:
                best = pinned
        log.info("model.lanes_measured", model=self.name, gain=round(gain / _WORTH_IT, 2), **asdict(best))
        return best

    async def _gain(self, usual: _Side, lanes: Lanes, queries: Queries, until: float) -> float | None:
        async with AsyncExitStack() as stack:
            if (rival := await self._started(lanes, stack, queries)) is None:
                return None
            try:
                return reliable(await _pairs(usual, rival, queries, until))
            except* (RetryableError, PermanentError) as errors:
                self._log_failure(errors.exceptions[0], lanes)
        return None

    async def _started(self, lanes: Lanes, stack: AsyncExitStack, queries: Queries) -> _Side | None:
        """Return the processes of `lanes`, started and warm, which `stack` ends; None if they do not start. Queries are served
        meanwhile.
        """
        side: _Side | None = None
        processes = [self.start(settings) for settings in lanes.settings(self.settings)]
        over = anyio.Event()
        async with anyio.create_task_group() as serving:
            serving.start_soon(queries.serve_until, over)
            try:
                async with anyio.create_task_group() as tasks:
                    for process in processes:
                        stack.push_async_exit(process)
                        tasks.start_soon(process.__aenter__)
                side = _Side(processes, await _calls(processes[0]))
            except* (RetryableError, PermanentError) as errors:
                self._log_failure(errors.exceptions[0], lanes)
            finally:
                over.set()
        return side

    def _log_failure(self, error: Exception, lanes: Lanes) -> None:
        log.warning("model.lanes_not_measured", model=self.name, error=str(error), **asdict(lanes))


@dataclass(frozen=True, slots=True)
class _Side:
    """Processes that compute at the same time, call by call."""

    processes: Sequence[ModelProcess]
    windows: Sequence[TokenIds]

    async def tokens_per_s(self, queries: Queries) -> float:
        """Return how fast they are together, until the last one ends its call: what it does alone then is no gain.

        A query that comes is waited for no longer than a call takes.
        """
        begin, done = monotonic(), 0

        async def compute(process: ModelProcess) -> None:
            nonlocal done
            is_first = True
            while is_first or (monotonic() - begin < _ROUND_S and not queries.waiting()):
                is_first = False
                await process.vectors(self.windows)
                done += sum(map(len, self.windows))

        async with anyio.create_task_group() as tasks:
            for process in self.processes:
                tasks.start_soon(compute, process)
        return done / (monotonic() - begin)


async def _pairs(usual: _Side, rival: _Side, queries: Queries, until: float) -> list[float]:
    """Return how many times faster `rival` was, pair by pair, who begins taking turns. None during which a query came."""
    ratios: list[float] = []
    while len(ratios) < _PAIRS and monotonic() < until:
        order = (usual, rival) if len(ratios) % 2 else (rival, usual)
        speeds = {id(side): await side.tokens_per_s(queries) for side in order}
        if queries.waiting():
            await queries.serve()
        else:
            ratios.append(speeds[id(rival)] / speeds[id(usual)])
    return ratios


async def _calls(process: ModelProcess) -> list[TokenIds]:
    """Return the windows of one call: as many as a batch has, fewer where the model is slow. Computes one, which warms it up."""
    ((window, *_),) = await process.tokens([_SPEED_TEXT])
    await process.vectors([window])
    begin = monotonic()
    await process.vectors([window])
    in_time = int(_CALL_S / (monotonic() - begin))
    return [window] * max(1, min(in_time, process.batch_tokens // len(window)))


def reliable(ratios: Sequence[float]) -> float | None:
    """Return the gain that pairs of measurements have in common, one outlier in five set aside; None for too few of them."""
    return sorted(ratios)[(len(ratios) - 1) // 4] if len(ratios) >= _LEAST_PAIRS else None
