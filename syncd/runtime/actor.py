"""Actor: a name and one method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Actor(Protocol):
    """A part of the daemon that runs by itself until it is told to stop.

    Start-up is the top of `run`, cleaning up is its `finally` or `async with`. Being cancelled is being told
    to stop; raising is a crash, and so is returning, except for temporary children. It may be run again
    afterwards.

    A `run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED)` promises to call
    `task_status.started()` once it is able to serve, in every run: whoever is started after it waits for
    that. An actor without it counts as started at once.
    """

    @property
    def name(self) -> str:
        """What logs and `/health` call it; unique among its siblings."""
        ...

    @property
    def run(self) -> Callable[..., Coroutine[Any, Any, None]]:
        """Run until cancelled; returning or raising is a crash, except for temporary children."""
        ...


def says_when_started(actor: Actor) -> bool:
    """Return whether `actor.run` takes `task_status`."""
    return "task_status" in inspect.signature(actor.run).parameters
