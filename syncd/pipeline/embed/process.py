"""The model's process as the daemon sees it: started when needed, replaced when it dies or hangs; a text that kills it fails alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Self, TypeVar

import numpy as np
import structlog

from syncd.errors import PermanentError, PutOffError, RetryableError
from syncd.json_types import JsonObject
from syncd.model import Vectors
from syncd.pipeline.embed.engine import EMBED_WORKER_MODULE, TimeLimits
from syncd.pipeline.embed.variant import PROBE_TEXTS, RunSettings
from syncd.pipeline.embed.windows import TokenIds, join, split
from syncd.runtime.frames import Frame
from syncd.runtime.process import ChildDiedError, environment
from syncd.runtime.worker import CallTimeoutError, Worker

log = structlog.get_logger()
T = TypeVar("T")
R = TypeVar("R")

BLAMED_AFTER = 3
"""How often the process must die of a text, and survive a known one each time, before the text is to blame."""


class EngineDownError(RetryableError):
    """The model's process cannot be started now."""


class ModelProcess:
    """Computes with one model file. Use it as an async context manager, and everything from that one task.

    Entering starts the process. A call that finds it dead starts it again first.
    """

    def __init__(
        self, name: str, settings: RunSettings, limits: TimeLimits | None = None, worker: str = EMBED_WORKER_MODULE
    ) -> None:
        self._name = name
        self._settings = settings
        self._limits = limits or TimeLimits()
        self._module = worker
        self._worker: Worker | None = None
        self.dimensions = 0
        self.batch_tokens = 0
        self.devices = 0
        """How many devices of the wanted kind there are beside the CPU."""
        self.processes = 1
        """How many processes like this one it takes to keep one device busy."""
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._worker.pid if self._worker else None

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def become(self, settings: RunSettings) -> None:
        """Run with other settings from now on. Waits for its start; raises EngineDownError."""
        await self._stop()
        self._settings = settings
        await self._started()

    async def tokens(self, texts: Sequence[str]) -> list[list[TokenIds]]:
        """Return the windows of each text. Raises what `Worker.call` raises, and EngineDownError."""
        limit_s = self._limits.call_s + self._limits.token_s * sum(map(len, texts)) / 4
        reply = await self._call({"op": "tokens", "texts": list(texts)}, b"", limit_s)
        lengths: list[list[int]] = reply.header["lengths"]
        flat = iter(split(reply.payload, [length for of_text in lengths for length in of_text]))
        return [[next(flat) for _ in of_text] for of_text in lengths]

    async def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Return how many tokens each text costs, as `tokens` would cut it. From any task: takes turns with what is computed.

        Raises RetryableError while the process does not run, which it does again when it is next computed with.
        """
        if self._worker is None:
            raise EngineDownError(f"model {self._name} does not run")
        reply = await self._worker.call({"op": "count", "texts": list(texts)}, timeout_s=self._limits.call_s)
        return reply.header["tokens"]

    async def vectors(self, windows: Sequence[TokenIds]) -> Vectors:
        """Return one row per window, of length 1, or NaN where the model gave no usable one. Raises as `tokens`."""
        lengths = [len(window) for window in windows]
        limit_s = self._limits.call_s + self._limits.token_s * sum(lengths)
        reply = await self._call({"op": "vectors", "lengths": lengths}, join(windows), limit_s)
        return np.frombuffer(reply.payload, dtype=np.float32).reshape(len(windows), self.dimensions)

    async def probe(self, tap: bool | None = None) -> tuple[Vectors, float]:
        """Return the vectors of the probe's texts, computed with or without the tap (None: as `vectors` are), and the CPU
        seconds of one more text, or seconds where a GPU computes. Raises as `tokens`.
        """
        reply = await self._call({"op": "probe", "tap": tap}, b"", self._limits.start_s)
        return np.frombuffer(reply.payload, dtype=np.float32).reshape(-1, self.dimensions), reply.header["cost_s"]

    async def prove(self) -> None:
        """Compute a known text. Raises as `tokens`: what ends the process then is nobody's text."""
        (windows,) = await self.tokens(PROBE_TEXTS[:1])
        await self.vectors(windows)

    async def _call(self, header: JsonObject, payload: bytes, limit_s: float) -> Frame:
        worker = await self._started()
        try:
            return await worker.call(header, payload, timeout_s=limit_s)
        except (ChildDiedError, CallTimeoutError) as error:
            log.warning("model.died", model=self._name, error=str(error))
            await self._stop()
            raise

    async def _started(self) -> Worker:
        if self._worker is None:
            env = environment(OMP_WAIT_POLICY="passive", GGML_NO_BACKTRACE="1", TOKENIZERS_PARALLELISM="false")
            worker = Worker(
                self._name, self._module, [self._settings.to_json()], env=env, start_limit_s=self._limits.start_s
            )
            try:
                await worker.__aenter__()
            except (ChildDiedError, CallTimeoutError) as error:
                raise EngineDownError(f"model {self._name} does not start: {error}") from error
            self._worker = worker
            self.starts += 1
            hello = worker.hello
            self.dimensions, self.batch_tokens = hello["dimensions"], hello["batch_tokens"]
            self.devices, self.processes = hello["devices"], hello["processes"]
        return self._worker

    async def _stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.__aexit__()


async def isolating(
    items: Sequence[T],
    call: Callable[[Sequence[T]], Awaitable[Iterable[R]]],
    prove: Callable[[], Awaitable[None]] | None = None,
) -> list[R | PermanentError]:
    """Return `call`'s result for each of `items`, or the error of those that cannot be computed.

    A call during which the process died or hung is made once more; dead again, or refused, it is halved, so that only
    what kills the process fails. A lone item is blamed for a death only while the process lives through `prove`, which
    computes something harmless. Raises EngineDownError when it does not, or cannot be started at all.
    """
    return await _isolating(items, call, prove, tries=2)


async def _isolating(
    items: Sequence[T],
    call: Callable[[Sequence[T]], Awaitable[Iterable[R]]],
    prove: Callable[[], Awaitable[None]] | None,
    tries: int,
) -> list[R | PermanentError]:
    if len(items) == 1:
        return [await _alone(items, call, prove)]
    for _ in range(tries):
        try:
            return list(await call(items))
        except PermanentError:
            break
        except (ChildDiedError, CallTimeoutError):
            continue
    middle = len(items) // 2
    halves = [await _isolating(half, call, prove, tries=1) for half in (items[:middle], items[middle:])]
    return halves[0] + halves[1]


async def _alone(
    item: Sequence[T],
    call: Callable[[Sequence[T]], Awaitable[Iterable[R]]],
    prove: Callable[[], Awaitable[None]] | None,
) -> R | PermanentError:
    """Return a lone item's result or why it has none."""
    failure: Exception | None = None
    for _ in range(BLAMED_AFTER):
        try:
            (result,) = await call(item)
        except PermanentError as error:
            return type(error)(f"the model cannot embed this text: {error}")
        except (ChildDiedError, CallTimeoutError) as error:
            failure = error
            await _proven(prove)
        else:
            return result
    return PutOffError(f"the model cannot embed this text: {failure}")


async def _proven(prove: Callable[[], Awaitable[None]] | None) -> None:
    """Return if the process lives without the text that it died of. Raises EngineDownError if not."""
    try:
        if prove is not None:
            await prove()
    except (ChildDiedError, CallTimeoutError) as error:
        raise EngineDownError(f"the model's process dies whatever it computes: {error}") from error
