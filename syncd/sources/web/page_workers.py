"""The parent's side of extraction: a few worker processes, replaced when a page kills one or takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from syncd.errors import PermanentError, RetryableError
from syncd.runtime.frames import Frame
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError, Worker
from syncd.sources.web.extract import HtmlPage

MODULE = "syncd.sources.web.page_worker"
PAGE = TypeAdapter(HtmlPage)
RECYCLE_AFTER_PAGES = 2000
"""A fresh process now and then bounds what a native parser may leak."""


class PageWorkers:
    """One may serve all sources. Use it as an async context manager; processes start when first needed."""

    def __init__(self, processes: int = 1, limit_s: float = 5.0) -> None:
        self._limit_s = limit_s
        self._free: asyncio.LifoQueue[WorkerSlot] = asyncio.LifoQueue()
        self._slots = [WorkerSlot(number) for number in range(processes)]
        for slot in self._slots:
            self._free.put_nowait(slot)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in self._slots:
            await slot.end()

    async def extract(self, data: bytes, url: str, content_type: str, max_links: int) -> HtmlPage:
        """Read one page. Waits for a free process.

        Raises PermanentError when the page cannot be read, or twice ended its process or took longer than the limit;
        RetryableError when no process can be started.
        """
        header: Mapping[str, str | int] = {"url": url, "content_type": content_type, "max_links": max_links}
        try:
            reply = await self._call(header, data)
        except (CallTimeoutError, ChildDiedError):
            # A process may die of an earlier page's leftovers or of the machine; the second one is this page's doing.
            try:
                reply = await self._call(header, data)
            except (CallTimeoutError, ChildDiedError) as error:
                raise PermanentError(f"the page cannot be read: {error}") from error
        return PAGE.validate_python({**reply.header, "markdown": reply.payload.decode("utf-8")})

    async def _call(self, header: Mapping[str, str | int], data: bytes) -> Frame:
        slot = await self._free.get()
        try:
            worker = await slot.worker()
            return await worker.call(header, data, timeout_s=self._limit_s)
        except (CallTimeoutError, ChildDiedError):
            await slot.end()
            raise
        finally:
            self._free.put_nowait(slot)


class WorkerSlot:
    """One worker process at a time, replaced when it ends or is due."""

    def __init__(self, number: int) -> None:
        self._name = f"page-reader-{number}"
        self._worker: Worker | None = None
        self._pages = 0

    async def worker(self) -> Worker:
        """Return this place's process, started or replaced as needed. Raises RetryableError."""
        if self._pages >= RECYCLE_AFTER_PAGES:
            await self.end()
        if self._worker is None:
            try:
                self._worker = await Worker(self._name, MODULE).__aenter__()
            except (CallTimeoutError, ChildDiedError) as error:
                raise RetryableError(f"the page worker does not start: {error}") from error
            self._pages = 0
        self._pages += 1
        return self._worker

    async def end(self) -> None:
        """End the process. Twice is safe."""
        worker, self._worker, self._pages = self._worker, None, 0
        if worker is not None:
            await worker.__aexit__()
