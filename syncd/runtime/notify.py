"""Telling systemd how the daemon is (sd_notify(3)), and its watchdog that work gets done."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

import anyio


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

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if self._address:
            with suppress(OSError):
                self._socket.sendto(state.encode(), self._address)


class Watchdog:
    """Actor that feeds systemd's watchdog three times per period, so that a daemon whose event loop hangs is restarted.

    Whatever else may hang is a process or a server of its own, which has limits of its own. The period is what systemd
    names in the environment; without one there is nothing to do.
    """

    name = "watchdog"

    def __init__(self, notifier: Notifier, environ: Mapping[str, str] = os.environ) -> None:
        self._notifier = notifier
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.interval_s = int(environ.get("WATCHDOG_USEC", "0")) / 3e6 if mine else 0.0

    async def run(self) -> None:
        """Run until cancelled."""
        if not self.interval_s:
            await anyio.sleep_forever()
        while True:
            self._notifier.alive()
            await anyio.sleep(self.interval_s)
