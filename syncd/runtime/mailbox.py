"""Mailbox: putting waits for room, awaiting the reply is the acknowledgement.

    reply = await mailbox.put(message)      # waits while the mailbox is full
    result = await reply                    # the message has been handled; its handler's error is raised here

A mailbox outlives the actor that serves it: what waits when an actor crashes is served by its next run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import anyio
import structlog

from syncd.errors import RetryableError, SyncdError

M = TypeVar("M")
R = TypeVar("R")
log = structlog.get_logger()


Handle = Callable[[M], Awaitable[R]]


class StoppedError(RetryableError):
    """The actor stopped before it had handled the message; how far it got is not known."""


class Reply(Generic[R]):
    """What becomes of one message. Await it, as often as you like, or drop it: nobody minds."""

    def __init__(self) -> None:
        self._settled = anyio.Event()
        self._value: tuple[R] | None = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], object]] = []

    def __await__(self) -> Generator[Any, Any, R]:
        return self._wait().__await__()

    @property
    def settled(self) -> bool:
        """Whether awaiting it returns, or raises, at once."""
        return self._settled.is_set()

    def settle(self, value: R) -> None:
        """Acknowledge: whoever awaits it gets `value`. The first settlement counts, later ones are ignored."""
        if not self.settled:
            self._value = (value,)
            self._tell()

    def fail(self, error: BaseException) -> None:
        """Refuse: whoever awaits it gets `error` raised. The first settlement counts, later ones are ignored."""
        if not self.settled:
            self._error = error
            self._tell()

    def when_settled(self, callback: Callable[[], object]) -> None:
        """Have `callback`, which must neither wait nor raise, called once it is settled: at once where it is."""
        if self.settled:
            callback()
        else:
            self._callbacks.append(callback)

    async def wait_settled(self) -> None:
        """Wait until it is settled, whatever with: raises nothing."""
        await self._settled.wait()

    def _tell(self) -> None:
        self._settled.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    async def _wait(self) -> R:
        await self._settled.wait()
        if self._value is None:
            raise self._error or RuntimeError("a reply was settled with nothing")
        return self._value[0]


def settled_reply(value: R) -> Reply[R]:
    """Return a reply that has come already."""
    reply = Reply[R]()
    reply.settle(value)
    return reply


@dataclass(frozen=True, slots=True)
class Envelope(Generic[M, R]):
    """A message that was taken: whoever took it must settle or fail its reply; see `settling`."""

    message: M
    reply: Reply[R]
    urgent: bool


@dataclass(frozen=True, slots=True)
class MailboxStats:
    """One look at a mailbox. `waiting` counts both lanes, `capacity` is each lane's; `served` were taken out
    so far.
    """

    name: str
    capacity: int
    waiting: int
    urgent_waiting: int
    served: int


class _Lane(Generic[M, R]):
    def __init__(self, capacity: int) -> None:
        self.room = anyio.Semaphore(capacity, fast_acquire=True)
        self.waiting: deque[Envelope[M, R]] = deque()


class Mailbox(Generic[M, R]):
    """Two bounded lanes of messages M with replies R; urgent messages overtake ordinary ones.

    `capacity` messages wait in each lane at most. Any number of senders and of actors that serve it.
    """

    def __init__(self, name: str, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"mailbox {name}: capacity must be at least 1, not {capacity}")
        self.name = name
        self.capacity = capacity
        self._urgent = _Lane[M, R](capacity)
        self._ordinary = _Lane[M, R](capacity)
        self._arrived = anyio.Semaphore(0, fast_acquire=True)
        self._served = 0

    async def put(self, message: M, *, urgent: bool = False) -> Reply[R]:
        """Wait for room, put `message` in and return its reply.

        Cancelled while waiting for room: the message was not put in. Afterwards it is handled whether or not
        its reply is still wanted.
        """
        lane = self._urgent if urgent else self._ordinary
        await lane.room.acquire()
        envelope = Envelope(message, Reply[R](), urgent)
        lane.waiting.append(envelope)
        self._arrived.release()
        return envelope.reply

    async def ask(self, message: M, *, urgent: bool = False) -> R:
        """Put `message` in and wait until it is handled: `await (await put(message))`."""
        return await (await self.put(message, urgent=urgent))

    async def serve(self, handle: Handle[M, R]) -> NoReturn:
        """Handle one message at a time, for ever, and settle each reply with what `handle` returns or raises.

        An error of `handle` goes to the sender and not further; a bug is logged too. Cancelled with a message in hand: its
        sender gets StoppedError.
        """
        while True:
            await self._handle((await self.take_many(1))[0], handle)

    async def serve_until(self, over: anyio.Event, handle: Handle[M, R]) -> None:
        """Serve like `serve`, but take no further message once `over` is set."""
        while not over.is_set():
            taken: list[Envelope[M, R]] = []
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_when, over, group.cancel_scope)
                taken = await self.take_many(1)
                group.cancel_scope.cancel()
            for envelope in taken:
                await self._handle(envelope, handle)

    async def _handle(self, envelope: Envelope[M, R], handle: Handle[M, R]) -> None:
        try:
            with settling([envelope]):
                envelope.reply.settle(await handle(envelope.message))
        except SyncdError:
            return
        except Exception:
            log.exception("mailbox.handler_failed", mailbox=self.name)

    async def take_many(self, limit: float, weight: Callable[[M], float] = lambda _: 1) -> list[Envelope[M, R]]:
        """Wait for a message, then take it and whatever else waits in its lane while the weights stay within
        `limit`.

        Never empty: a first message heavier than `limit` comes alone. In order of arrival, urgent ones before
        and never together with ordinary ones. The caller settles every reply; put the work inside `settling`.
        Cancelled: nothing was taken.
        """
        await self._arrived.acquire()
        lane = self._urgent if self._urgent.waiting else self._ordinary
        taken = [self._pop(lane)]
        total = weight(taken[0].message)
        # Not by the lane's length: what is left may be promised to another taker that has yet to wake up.
        while self._arrived.value and lane.waiting and (total := total + weight(lane.waiting[0].message)) <= limit:
            self._arrived.acquire_nowait()
            taken.append(self._pop(lane))
        return taken

    def stats(self) -> MailboxStats:
        """Return how full it is now."""
        urgent = len(self._urgent.waiting)
        waiting = urgent + len(self._ordinary.waiting)
        return MailboxStats(self.name, self.capacity, waiting, urgent, self._served)

    def _pop(self, lane: _Lane[M, R]) -> Envelope[M, R]:
        lane.room.release()
        self._served += 1
        return lane.waiting.popleft()


@contextmanager
def settling(
    envelopes: Iterable[Envelope[Any, Any]], put_aside: Callable[[], Iterable[Envelope[Any, Any]]] = tuple
) -> Generator[None]:
    """Leave none of `envelopes` hanging: those not settled inside fail with the error that ends the block.

    Cancellation fails them with StoppedError. Leaving normally with one unsettled fails it with RuntimeError, unless it
    is among those `put_aside`, which somebody settles later. The error is raised on.
    """
    held = list(envelopes)
    reason: BaseException = RuntimeError("the message was taken but never settled")
    try:
        yield
        kept = {id(envelope) for envelope in put_aside()}
        held = [envelope for envelope in held if id(envelope) not in kept]
    except Exception as error:
        reason = error
        raise
    except BaseException:
        reason = StoppedError("the actor was stopped while it handled the message")
        raise
    finally:
        for envelope in held:
            envelope.reply.fail(reason)


async def _cancel_when(over: anyio.Event, scope: anyio.CancelScope) -> None:
    await over.wait()
    scope.cancel()
