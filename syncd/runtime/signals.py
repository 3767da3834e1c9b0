"""What SIGTERM, SIGINT and SIGHUP do to the daemon."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

import anyio
import structlog

log = structlog.get_logger()

EXIT_DEADLINE = 75


async def watch_signals(
    stop: Callable[[], None], reload: Callable[[], Awaitable[None]] | None = None, *, deadline_s: float
) -> None:
    """Run until cancelled: the first SIGTERM or SIGINT calls `stop` (which must return at once), SIGHUP
    awaits `reload`.

    From the first one on, the process ends within `deadline_s`: when draining has not ended it by then, with
    status 75. A second signal ends it at once, with 128 + its number. Both work while the event loop is
    blocked. Main thread only.
    """
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as arriving:
        async for number in arriving:
            if number == signal.SIGHUP:
                log.info("daemon.reloading")
                if reload is not None:
                    await reload()
                continue
            log.info("daemon.stopping", signal=number.name, deadline_s=deadline_s)
            _arm(deadline_s)
            stop()
            await anyio.sleep_forever()


def exit_now(status: int) -> None:
    """End this process without cleaning up, after flushing what it has printed and logged. Children die by
    their own tie.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _arm(deadline_s: float) -> None:
    # A thread and plain handlers, not tasks: they must work when the event loop does not.
    timer = threading.Timer(deadline_s, _late, [deadline_s])
    timer.daemon = True
    timer.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _second)


def _late(deadline_s: float) -> None:
    log.error("daemon.deadline_passed", deadline_s=deadline_s)
    exit_now(EXIT_DEADLINE)


def _second(number: int, _frame: FrameType | None) -> None:
    log.warning("daemon.stopped_at_once", signal=signal.Signals(number).name)
    exit_now(128 + number)
