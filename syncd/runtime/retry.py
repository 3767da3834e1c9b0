"""Trying again: after RetryableError with exponential backoff and full jitter, after TooLargeError with less at once."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import structlog

from syncd.errors import RetryableError, TooLargeError

R = TypeVar("R")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before try after try: uniformly between 0 and a ceiling that grows up to `cap_s`.

    Full jitter spreads the herd that one outage made; `random` returns values in [0, 1).
    """

    base_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 60.0
    random: Callable[[], float] = random.random

    def delay_s(self, failures: int) -> float:
        """Return the wait after the `failures`-th failure in a row, counted from 1."""
        exponent = min(failures - 1, 64)
        return self.random() * min(self.cap_s, self.base_s * self.factor**exponent)


async def retrying(
    call: Callable[[], Awaitable[R]],
    backoff: Backoff | None = None,
    *,
    attempts: int | None = None,
    deadline_s: float | None = None,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> R:
    """Return what `call` returns, calling it again after each RetryableError; other errors are raised at
    once.

    Waits what `backoff` says or, where longer, the error's `retry_after_s`. After `attempts` calls, or when
    the next wait would end later than `deadline_s` from now, the last error is raised. Neither given: tries
    for ever.
    """
    backoff = backoff or Backoff()
    started = anyio.current_time()
    failures = 0
    while True:
        try:
            return await call()
        except RetryableError as error:
            failures += 1
            delay_s = max(backoff.delay_s(failures), error.retry_after_s or 0.0)
            late = deadline_s is not None and anyio.current_time() - started + delay_s > deadline_s
            if late or failures == attempts:
                raise
            log.info("retry.waiting", error=str(error), failures=failures, delay_s=round(delay_s, 3))
            await sleep(delay_s)


async def in_halves(send: Callable[[slice], Awaitable[object]], some: slice) -> None:
    """Have `some` items sent, or, where that is too large for one request, their halves in order, down to single ones.

    `send` has to be safe to repeat, as a request may be refused after others went through. Raises TooLargeError if a single item is
    too large, whatever comes after it unsent.
    """
    try:
        await send(some)
    except TooLargeError:
        if some.stop - some.start < 2:
            raise
        middle = (some.start + some.stop) // 2
        await in_halves(send, slice(some.start, middle))
        await in_halves(send, slice(middle, some.stop))
