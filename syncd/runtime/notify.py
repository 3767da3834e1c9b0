"""Telling systemd how the daemon is (sd_notify(3)), and its watchdog that work gets done."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import anyio
import structlog

log = structlog.get_logger()


class Notifier:
    """Sends states to the socket that systemd names in the environment; without one, does nothing.

    Nothing here waits or raises: a send to a full socket is dropped, since a blocking one would hang the
    event loop.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def ready(self) -> None:
        """Say that the daemon serves (again, after `reloading`)."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that it drains."""
        self._send("STOPPING=1")

    def reloading(self) -> None:
        """Say that it reads its configuration again; follow with `ready`."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, text: str) -> None:
        """Show `text` in `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def extend(self, wait_s: float) -> None:
        """Ask for `wait_s` more from now before starting or stopping counts as failed."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(wait_s * 1e6)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if self._address:
            with suppress(OSError):
                self._socket.sendto(state.encode(), self._address)


class Progress:
    """Whether a part with work to do gets on: `begin` work, `moved` on every step, `rest` when there is none.

    Waiting for somebody else (Chroma away, a rate limit) is rest.
    """

    def __init__(self, name: str, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._limit_s = limit_s
        self._clock = clock
        self._since: float | None = None

    def begin(self) -> None:
        """Note that there is work now. Twice is safe and restarts the limit."""
        self._since = self._clock()

    moved = begin

    def rest(self) -> None:
        """Note that there is nothing to do."""
        self._since = None

    def stuck(self) -> str | None:
        """Return why it counts as stuck, or None: it had work and did not move within its limit."""
        if self._since is None or self._clock() - self._since <= self._limit_s:
            return None
        return f"{self.name} has not moved for {self._clock() - self._since:.0f} s"


class Watchdog:
    """Actor that feeds systemd's watchdog three times per period while no check returns a reason not to.

    The period is what systemd names in the environment; without one it has nothing to do.
    """

    name = "watchdog"

    def __init__(
        self,
        notifier: Notifier,
        checks: Sequence[Callable[[], str | None]] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._notifier = notifier
        self._checks = checks
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.interval_s = int(environ.get("WATCHDOG_USEC", "0")) / 3e6 if mine else 0.0

    async def run(self) -> None:
        """Run until cancelled."""
        if not self.interval_s:
            await anyio.sleep_forever()
        while True:
            self.look()
            await anyio.sleep(self.interval_s)

    def look(self) -> None:
        """Feed the watchdog unless a check says that something is stuck."""
        reasons = [reason for check in self._checks if (reason := check())]
        if reasons:
            log.error("watchdog.withheld", reasons=reasons)
        else:
            self._notifier.alive()
