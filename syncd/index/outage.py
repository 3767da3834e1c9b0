"""Waiting out an outage of the vector store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import structlog

from syncd.errors import RetryableError
from syncd.index.changes import RETRY_CAP_S
from syncd.index.target import VectorStore
from syncd.runtime.retry import Backoff

R = TypeVar("R")
log = structlog.get_logger()


async def outlasting(vector_store: VectorStore, call: Callable[[], Awaitable[R]], collection: str) -> R:
    """Return what `call`, which must be safe to repeat, returns; while the vector store is away, wait and call it again.

    Raises what it raises otherwise: a RetryableError, too, that has another cause.
    """
    backoff, failures = Backoff(cap_s=RETRY_CAP_S), 0
    while True:
        try:
            return await call()
        except RetryableError as error:
            if vector_store.status() is None:
                raise
            log.warning("index.waiting", collection=collection, reason=str(error))
            failures += 1
            await anyio.sleep(backoff.delay_s(failures))
            await vector_store.available()
