"""Supervisor: starts actors in order, restarts those that crash, gives up loudly, stops them in reverse order."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from syncd.errors import ConfigError
from syncd.runtime.actor import Actor, says_when_started
from syncd.runtime.retry import Backoff

log = structlog.get_logger()

STOP_LIMIT_S = 30.0
"""A child that has not stopped by then is left behind."""

ChildState = Literal["waiting", "starting", "running", "restarting", "degraded", "finished", "stopped"]


class EscalatedError(Exception):
    """A supervisor gave up: a child crashed too often. Its cause is the child's last error."""


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """One look at a child. `error` is its last crash, '' when there was none; `children` are those of a supervisor, in start order."""

    name: str
    state: ChildState
    restarts: int
    error: str
    children: Sequence[ChildStatus] = ()


class _Child:
    def __init__(self, actor: Actor, temporary: bool) -> None:
        self.actor = actor
        self.temporary = temporary
        self.reset()

    def reset(self) -> None:
        self.scope = anyio.CancelScope(shield=True)
        self.up = anyio.Event()
        self.over = anyio.Event()
        self.state: ChildState = "waiting"
        self.crashes: deque[float] = deque()
        self.failures = 0
        self.restarts = 0
        self.error = ""
        self.began = 0.0
        self.degraded = False

    def started(self, value: object = None) -> None:
        """Satisfy TaskStatus: the actor is able to serve."""
        if self.state == "starting":
            self.state = "running"
        self.up.set()


class Supervisor:
    """An Actor that keeps `children` running, one for one: a crash concerns the crashed child only.

    Children start in order, each when the one before has said that it is started, and stop in reverse order.
    A crashed child is run again after `backoff`, unless a ConfigError kept it from starting at all, which no new run mends:
    that escalates at once. More than `max_restarts` crashes of all children together
    within `within_s`: everything is stopped and EscalatedError raised, which is a crash of this supervisor to
    its own.

    Children in `temporary` (and those added later) never escalate, and may return. One that crashes more than
    `max_restarts` times within `within_s` is degraded: logged, reported by `status`, and tried again after
    `backoff`'s cap, until a run lasts `within_s`.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[Actor] = (),
        *,
        temporary: Sequence[Actor] = (),
        max_restarts: int = 5,
        within_s: float = 60.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._children = [_Child(actor, False) for actor in children] + [_Child(actor, True) for actor in temporary]
        self._max_restarts = max_restarts
        self._within_s = within_s
        self._backoff = backoff or Backoff(base_s=0.2, cap_s=30.0)
        self._crashes: deque[float] = deque()
        self._group: TaskGroup | None = None
        self._escalation: EscalatedError | None = None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Start the children and keep them running until cancelled. Raises EscalatedError."""
        self._crashes.clear()
        self._escalation = None
        async with anyio.create_task_group() as self._group:
            try:
                with anyio.CancelScope() as self._lifetime:
                    for child in list(self._children):
                        await self._start(child)
                    task_status.started()
                    await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    for child in reversed(self._children):
                        await self._stop(child)
                self._group = None
        self._raise_escalation()

    async def add(self, actor: Actor) -> None:
        """Take on a temporary child; waits until it has started when this supervisor runs. Names must differ."""
        if any(child.actor.name == actor.name for child in self._children):
            raise ValueError(f"{self.name} has a child named {actor.name} already")
        child = _Child(actor, True)
        self._children.append(child)
        if self._group is not None:
            await self._start(child)

    async def remove(self, name: str) -> None:
        """Stop the child of that name and forget it; waits until it has stopped. Unknown names are ignored."""
        for child in [child for child in self._children if child.actor.name == name]:
            await self._stop(child)
            self._children.remove(child)

    def status(self) -> list[ChildStatus]:
        """Return every child's state, in start order, with those below."""
        return [self._look_at(child) for child in self._children]

    def restarts(self) -> Mapping[str, int]:
        """Return how often each actor was run again after a crash, by name: its own children and those of supervisors below."""
        found = {child.actor.name: child.restarts for child in self._children}
        for child in self._children:
            if isinstance(child.actor, Supervisor):
                found.update(child.actor.restarts())
        return found

    def _look_at(self, child: _Child) -> ChildStatus:
        steady = child.state == "running" and anyio.current_time() - child.began >= self._within_s
        degraded = child.degraded and not steady and child.state in ("starting", "running", "restarting")
        state = "degraded" if degraded else child.state
        below = child.actor.status() if isinstance(child.actor, Supervisor) else ()
        return ChildStatus(child.actor.name, state, child.restarts, child.error, below)

    async def _start(self, child: _Child) -> None:
        assert self._group is not None
        child.reset()
        self._group.start_soon(self._keep_running, child, name=child.actor.name)
        await child.up.wait()

    async def _stop(self, child: _Child) -> None:
        if child.state == "waiting":
            return
        child.scope.cancel()
        with anyio.move_on_after(STOP_LIMIT_S) as limit:
            await child.over.wait()
        if limit.cancelled_caught:
            log.error("actor.stuck", actor=child.actor.name, limit_s=STOP_LIMIT_S)

    async def _keep_running(self, child: _Child) -> None:
        # Shielded: the supervisor's own cancellation must reach its children one by one, in reverse order.
        try:
            with child.scope:
                while (error := await self._run_once(child)) is not None:
                    delay_s = self._verdict(child, error)
                    if delay_s is None:
                        break
                    await anyio.sleep(delay_s)
                    child.restarts += 1
        finally:
            if child.state != "finished":
                child.state = "stopped"
            child.up.set()
            child.over.set()

    async def _run_once(self, child: _Child) -> Exception | None:
        """Run the actor until it ends; None when there is no next run."""
        child.state = "starting"
        log.info("actor.starting", actor=child.actor.name)
        child.began = anyio.current_time()
        try:
            if says_when_started(child.actor):
                await child.actor.run(task_status=child)
            else:
                child.started()
                await child.actor.run()
        except EscalatedError as error:
            # What no new run mends is not tried again here either.
            crash = error.__cause__ if isinstance(error.__cause__, ConfigError) else error
        except Exception as error:
            crash = error
        else:
            if child.temporary:
                child.state = "finished"
                log.info("actor.finished", actor=child.actor.name)
                return None
            crash = RuntimeError(f"{child.actor.name} returned, though it should run until it is stopped")
        if anyio.current_time() - child.began >= self._within_s:
            child.failures = 0
            child.degraded = False
        return crash

    def _verdict(self, child: _Child, error: Exception) -> float | None:
        """Record the crash; return the wait before the next run, None when this supervisor gives up."""
        child.failures += 1
        child.error = f"{type(error).__name__}: {error}"
        log.error("actor.crashed", actor=child.actor.name, failures=child.failures, exc_info=error)
        if isinstance(error, ConfigError) and not child.temporary and not child.up.is_set():
            self._escalate(child, error, "the configuration is wrong")
            return None
        if self._too_many(child.crashes if child.temporary else self._crashes):
            if not child.temporary:
                reason = f"more than {self._max_restarts} crashes within {self._within_s:g} s"
                self._escalate(child, error, reason)
                return None
            if not child.degraded:
                log.error("actor.degraded", actor=child.actor.name, error=child.error)
            child.degraded = True
            child.up.set()
        child.state = "restarting"
        if child.degraded:
            return self._backoff.cap_s
        return self._backoff.delay_s(child.failures)

    def _escalate(self, child: _Child, error: Exception, reason: str) -> None:
        log.error("actor.escalated", supervisor=self.name, actor=child.actor.name)
        self._escalation = EscalatedError(
            f"{self.name} gave up: {reason}, the last crash was of {child.actor.name} ({child.error})"
        )
        self._escalation.__cause__ = error
        self._lifetime.cancel()

    def _raise_escalation(self) -> None:
        if self._escalation is not None:
            raise self._escalation

    def _too_many(self, crashes: deque[float]) -> bool:
        now = anyio.current_time()
        crashes.append(now)
        while crashes[0] < now - self._within_s:
            crashes.popleft()
        return len(crashes) > self._max_restarts
