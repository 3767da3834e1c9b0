"""Some worker processes of one kind: a free one is taken, served with, given back, recycled, and replaced when it dies."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Generic, Self, TypeVar

import anyio

from syncd.errors import PermanentError, RetryableError
from syncd.json_types import JsonObject
from syncd.runtime.frames import Frame
from syncd.runtime.process import ChildDiedError
from syncd.runtime.worker import CallTimeoutError, Worker

W = TypeVar("W", bound=Worker)


class Lease(Generic[W]):
    """A process that is ours until it is given back. One whose request has not come to its end is ended then."""

    def __init__(self, worker: W) -> None:
        self.worker = worker
        self.uses = 0
        """How often this process has been taken, this time included: with 1 nobody before can have harmed it."""
        self.is_spent = False

    async def call(self, header: JsonObject, payload: bytes = b"", *, timeout_s: float) -> Frame:
        """Return the single reply; see `Worker.call`."""
        with self._request():
            return await self.worker.call(header, payload, timeout_s=timeout_s)

    async def stream(self, header: JsonObject, payload: bytes = b"", *, timeout_s: float) -> AsyncGenerator[Frame]:
        """Yield the reply's frames; see `Worker.stream`. Use `contextlib.aclosing` when leaving early."""
        with self._request():
            async with aclosing(self.worker.stream(header, payload, timeout_s=timeout_s)) as frames:
                async for frame in frames:
                    yield frame

    def retire(self) -> None:
        """Have the process ended, not used again, when it is given back. Twice is safe."""
        self.is_spent = True

    @contextmanager
    def _request(self) -> Generator[None]:
        was_spent, self.is_spent = self.is_spent, True
        try:
            yield
        except (ChildDiedError, CallTimeoutError):
            raise
        except (PermanentError, RetryableError):
            self.is_spent = was_spent  # the process has answered, and is ready for the next
            raise
        self.is_spent = was_spent


class Places:
    """So many places. Who waits gets one in order of arrival, those who are urgent before the others."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._urgent: deque[anyio.Event] = deque()
        self._ordinary: deque[anyio.Event] = deque()

    @asynccontextmanager
    async def taken(self, *, urgent: bool) -> AsyncGenerator[None]:
        """Hold a place; waits for it."""
        await self._take(self._urgent if urgent else self._ordinary)
        try:
            yield
        finally:
            self._give()

    async def _take(self, lane: deque[anyio.Event]) -> None:
        if self._free:
            self._free -= 1
            return
        given = anyio.Event()
        lane.append(given)
        try:
            await given.wait()
        except BaseException:
            if given.is_set():
                self._give()
            else:
                lane.remove(given)
            raise

    def _give(self) -> None:
        """Pass a place on to whoever waits."""
        if lane := self._urgent or self._ordinary:
            lane.popleft().set()
        else:
            self._free += 1


class WorkerPool(Generic[W]):
    """At most `size` processes, made by `make` from their numbers 1, 2, … when first needed.

    An async context manager around everything that takes one: leaving ends those not in use. A process is used `max_uses`
    times (0: without limit).
    """

    def __init__(self, make: Callable[[int], W], size: int = 1, max_uses: int = 0) -> None:
        self._make = make
        self._max_uses = max_uses
        self._places = Places(size)
        self._idle: list[Lease[W]] = []
        self._started = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            await self._end(self._idle.pop())

    @asynccontextmanager
    async def lease(self, *, fresh: bool = False, urgent: bool = False) -> AsyncGenerator[Lease[W]]:
        """Yield a process that nobody else has; waits for a place, which those who are `urgent` get first. `fresh` asks for one
        that has served nobody.

        Raises RetryableError, and neither ChildDiedError nor CallTimeoutError, when one has to be started and does not start:
        that is nobody's doing who wants it.
        """
        async with self._places.taken(urgent=urgent):
            lease = await self._taken(fresh)
            lease.uses += 1
            try:
                yield lease
            finally:
                if lease.is_spent or lease.uses == self._max_uses:
                    await self._end(lease)
                else:
                    self._idle.append(lease)

    async def _taken(self, fresh: bool) -> Lease[W]:
        while self._idle and not fresh:
            lease = self._idle.pop()
            if lease.worker.alive:
                return lease
            await self._end(lease)
        self._started += 1
        worker = self._make(self._started)
        try:
            await worker.__aenter__()
        except (ChildDiedError, CallTimeoutError) as error:
            raise RetryableError(f"{worker.name} does not start: {error}") from error
        return Lease(worker)

    async def _end(self, lease: Lease[W]) -> None:
        with anyio.CancelScope(shield=True):
            await lease.worker.__aexit__()
