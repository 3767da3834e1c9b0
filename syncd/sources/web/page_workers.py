"""The parent's side of extraction: a few worker processes, replaced when a page kills one or takes too long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import TypeAdapter

from syncd.errors import PermanentError
from syncd.runtime.frames import Frame
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError, Worker
from syncd.runtime.worker_pool import WorkerPool
from syncd.sources.web.extract import HtmlPage

PAGE_WORKER_MODULE = "syncd.sources.web.page_worker"
PAGE_ADAPTER = TypeAdapter(HtmlPage)
WORKER_RECYCLE_AFTER_PAGES = 2000
"""Pages per process, which bounds the memory a native parser may leak."""


class PageWorkers:
    """One may serve all sources. Use it as an async context manager; processes start when first needed."""

    def __init__(self, processes: int = 1, limit_s: float = 5.0) -> None:
        self._limit_s = limit_s
        self._processes = WorkerPool(
            lambda number: Worker(f"page-reader-{number}", PAGE_WORKER_MODULE), processes, WORKER_RECYCLE_AFTER_PAGES
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._processes.__aexit__()

    async def extract(self, data: bytes, url: str, content_type: str, max_links: int) -> HtmlPage:
        """Read one page. Waits for a free process.

        Raises PermanentError if the page cannot be read, or twice crashed its process or exceeded the time limit;
        RetryableError if no process can be started.
        """
        header: Mapping[str, str | int] = {"url": url, "content_type": content_type, "max_links": max_links}
        try:
            reply = await self._call(header, data)
        except (CallTimeoutError, ChildDiedError):
            # A process may die because of an earlier page or of the machine; if a second one dies, this page is the cause.
            try:
                reply = await self._call(header, data)
            except (CallTimeoutError, ChildDiedError) as error:
                raise PermanentError(f"the page cannot be read: {error}") from error
        return PAGE_ADAPTER.validate_python({**reply.header, "markdown": reply.payload.decode("utf-8")})

    async def _call(self, header: Mapping[str, str | int], data: bytes) -> Frame:
        async with self._processes.lease() as lease:
            return await lease.call(header, data, timeout_s=self._limit_s)
