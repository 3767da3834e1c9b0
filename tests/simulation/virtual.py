"""An event loop whose clock is virtual and whose next task is drawn by lot, so that one seed always lives through the same schedule.

Nothing happens outside: no threads, no sockets. Time passes only when no task can go on, and then at once.
"""

import asyncio
import random
import selectors
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

import anyio.to_thread

EPOCH_S = 1.8e9
STEPS_MAX = 2_000_000


class Crash(BaseException):
    """The process is gone."""


class StuckError(Exception):
    """Nobody can ever go on, or somebody goes on for ever and no time passes."""


@dataclass
class Clock:
    """What time it is in all lives of one simulated daemon."""

    now: float = 0.0


class TurnSelector(selectors.SelectSelector):
    """Asked once per turn of the loop what has happened outside: it chooses the one task that goes on, or lets time pass."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        self.loop.take_turn(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`crash_in` steps of tasks from now, `Crash` is raised out of `run_until_complete`."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        selector = TurnSelector()
        super().__init__(selector)
        selector.loop = self
        self._clock = clock
        self._rng = rng
        self._runnable: list[tuple[int, asyncio.Handle]] = []
        self._numbers: WeakKeyDictionary[asyncio.Task, int] = WeakKeyDictionary()
        self._made = 0
        self.steps = 0
        self.crash_in: int | None = None
        self.set_task_factory(self._make_task)
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self._clock.now

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine, **options: Any) -> asyncio.Task:
        task = asyncio.Task(coroutine, loop=loop, **options)
        self._made += 1
        self._numbers[task] = self._made
        return task

    def take_turn(self, timeout: float | None) -> None:
        """Leave what is no task's step in its order, and of the tasks that can go on one; the others wait for a later turn."""
        ready: deque[asyncio.Handle] = self._ready
        others: list[asyncio.Handle] = []
        for handle in ready:
            task = getattr(handle._callback, "__self__", None)
            if isinstance(task, asyncio.Task):
                self._runnable.append((self._numbers.get(task, 0), handle))
            else:
                others.append(handle)
        ready.clear()
        ready.extend(others)
        if self._runnable:
            self._count()
            # By the order in which they were made: the order in which a set of them was woken is chance.
            self._runnable.sort(key=lambda one: one[0])
            ready.append(self._runnable.pop(self._rng.randrange(len(self._runnable)))[1])
        elif others:
            return
        elif timeout is None:
            raise StuckError("no task can go on and none waits for a time")
        else:
            self._clock.now += timeout

    def _count(self) -> None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise StuckError(f"{STEPS_MAX} steps in one life")
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                raise Crash

    def bury(self) -> None:
        """Let no task of this loop go on, whatever happens to it: the process is gone."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False
            with suppress(BaseException):
                task.get_coro().close()
        self._runnable.clear()
        self.close()


@contextmanager
def virtual_time(clock: Clock, rng: random.Random) -> Iterator[None]:
    """Let every clock be the virtual one, every draw the seed's, and whatever would run in a thread run at once."""

    async def at_once(function: Callable[..., Any], *arguments: Any, **_options: Any) -> Any:
        await asyncio.sleep(0)
        return function(*arguments)

    def drawn() -> uuid.UUID:
        return uuid.UUID(int=rng.getrandbits(128), version=4)

    state = random.getstate()
    random.seed(rng.random())
    with (
        patch.object(time, "time", lambda: EPOCH_S + clock.now),
        patch.object(time, "monotonic", lambda: clock.now),
        patch.object(uuid, "uuid4", drawn),
        patch.object(anyio.to_thread, "run_sync", at_once),
        # A life that is over leaves coroutines behind that would like to go on, or were never begun.
        patch("sys.unraisablehook", lambda _: None),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
    random.setstate(state)
