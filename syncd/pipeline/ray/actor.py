"""What runs on a worker: a Ray actor with the local engine in it, which computes one model in a process of its own as the daemon does.

Ray calls its methods in threads, so that it answers `beat` while it computes, however long that takes. The engine has an event loop
of asyncio's own in another one: Ray prefers uvloop where it is installed, which starts no processes in groups. (An asynchronous
method would have Ray call all of them in its loop.)
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from syncd.errors import PermanentError, PutOffError, SyncdError
from syncd.json_types import JsonObject
from syncd.model import Embedder, Vectors
from syncd.pipeline.embed.engine import EngineOptions
from syncd.pipeline.embed.local import open_embedder
from syncd.pipeline.ray.order import Order, runtime_versions

R = TypeVar("R")
_asyncio: Any = asyncio  # whose policies are deprecated: they go with Python 3.16, and with them what uvloop changes

CALLS_AT_ONCE = 32
"""More than are ever under way: a beat must not wait for what is computed."""

Computed = tuple[Vectors, list[int], dict[int, tuple[str, bool]]]
"""A row and a number of tokens for each text; for those that cannot be embedded, zeros, and why, and whether it may pass."""


class EmbeddingActor:
    """Computes the model of one order. Each instance is started once; what ends its model ends it too."""

    def __init__(self) -> None:
        _asyncio.set_event_loop_policy(_asyncio.DefaultEventLoopPolicy())
        self._loop = asyncio.new_event_loop()
        self._embedder: Embedder | None = None
        self._serving: Future[None] | None = None
        # Processes are tied to the thread that starts them, and this one lives as long as the actor.
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def beat(self) -> None:
        """Return while this worker can work. Raises what ended its model."""
        if self._serving is not None and self._serving.done():
            self._serving.result()

    def start(self, order: Order) -> tuple[JsonObject, Vectors]:
        """Load the model, and return what identifies it, with the vectors of the order's known texts.

        Where it cannot be loaded there are no vectors, and `refused` says why.
        """
        facts: JsonObject = {"node": platform.node(), "pid": os.getpid(), "versions": dict(runtime_versions())}
        ready = Future[Embedder]()
        self._serving = asyncio.run_coroutine_threadsafe(_serve(order, ready), self._loop)
        try:
            embedder = self._embedder = ready.result()
            rows, _, refused = self.embed(order.texts)
        except (SyncdError, OSError) as error:
            return {**facts, "refused": str(error)}, np.empty((0, 0), dtype=np.float32)
        if refused:
            return {**facts, "refused": next(iter(refused.values()))[0]}, rows
        return {**facts, "fingerprint": embedder.fingerprint}, rows

    def embed(self, texts: Sequence[str]) -> Computed:
        """Return the texts' vectors. Raises RetryableError while the model cannot be computed with here."""
        assert self._embedder is not None
        found = self._waited_for(_each(self._embedder, texts))
        errors = {number: error for number, (_, _, error) in enumerate(found) if error}
        return np.stack([row for row, _, _ in found]), [tokens for _, tokens, _ in found], errors

    def _waited_for(self, work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _serve(order: Order, ready: Future[Embedder]) -> None:
    try:
        async with open_embedder(order.model, order.folder, _on_this_node(order.options)) as embedder:
            ready.set_result(embedder)
            await asyncio.Event().wait()
    except (SyncdError, OSError) as error:
        if ready.done():
            raise
        ready.set_exception(error)


async def _each(embedder: Embedder, texts: Sequence[str]) -> list[tuple[Any, int, tuple[str, bool] | None]]:
    return await asyncio.gather(*(_alone(embedder, text) for text in texts))


async def _alone(embedder: Embedder, text: str) -> tuple[Any, int, tuple[str, bool] | None]:
    try:
        found = await embedder.embed([text], "document")
    except PermanentError as error:
        return np.zeros(embedder.dimensions, dtype=np.float32), 0, (str(error), isinstance(error, PutOffError))
    return found.vectors[0], found.tokens, None


def _on_this_node(options: EngineOptions) -> EngineOptions:
    """Return the options with the cards that Ray has given this worker, as the model's process counts them."""
    import ray

    context: Any = ray.get_runtime_context()
    cards = tuple(int(number) for number in context.get_accelerator_ids().get("GPU", ()))
    return replace(options, devices=cards) if cards else replace(options, device="cpu", devices=())
