"""What every worker is: a Ray actor that does its work in processes of its own as the daemon does, and says meanwhile that it lives.

Ray calls its methods in threads, so that it answers `beat` while it works, however long that takes. What works has an event loop
of asyncio's own in another one: Ray prefers uvloop where it is installed, which starts no processes in groups. (An asynchronous
method would have Ray call all of them in its loop.)
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from syncd.errors import SyncdError
from syncd.json_types import JsonObject

R = TypeVar("R")
_asyncio: Any = asyncio  # whose policies are deprecated: they go with Python 3.16, and with them what uvloop changes

CALLS_AT_ONCE = 32
"""More than are ever under way: a beat must not wait for what is computed."""


class RayActor(ABC):
    """A worker of one order. Each instance is started once; what ends its work ends it too."""

    def __init__(self) -> None:
        _asyncio.set_event_loop_policy(_asyncio.DefaultEventLoopPolicy())
        self._loop = asyncio.new_event_loop()
        self._working: Future[None] | None = None
        # Processes are tied to the thread that starts them, and this one lives as long as the actor.
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def beat(self) -> None:
        """Return while this worker can work. Raises what ended it."""
        if self._working is not None and self._working.done():
            self._working.result()

    def start(self, work: Any) -> tuple[JsonObject, bytes]:
        """Begin the work of an order, and return what identifies this worker, with bytes that do so too.

        Where it cannot begin, `refused` says why.
        """
        facts: JsonObject = {"node": platform.node(), "pid": os.getpid()}
        try:
            found, payload = self.begin(work)
        except (SyncdError, OSError) as error:
            return {**facts, "refused": str(error)}, b""
        return {**facts, **found}, payload

    @abstractmethod
    def begin(self, work: Any) -> tuple[JsonObject, bytes]:
        """Begin, and return what identifies the work. Raises SyncdError, OSError."""

    @abstractmethod
    def answer(self, request: Mapping[str, Any], payload: bytes) -> tuple[JsonObject, bytes]:
        """Do one piece of work. Raises RetryableError while this worker cannot."""

    def enter(self, opening: AbstractAsyncContextManager[R]) -> R:
        """Enter for as long as this worker lives. Raises what entering does."""
        ready = Future[R]()
        self._working = asyncio.run_coroutine_threadsafe(_stay(opening, ready), self._loop)
        return ready.result()

    def awaited(self, work: Coroutine[Any, Any, R]) -> R:
        """Do `work` in the loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _stay(opening: AbstractAsyncContextManager[R], ready: Future[R]) -> None:
    try:
        async with opening as opened:
            ready.set_result(opened)
            await asyncio.Event().wait()
    except Exception as error:
        if ready.done():
            raise
        ready.set_exception(error)
