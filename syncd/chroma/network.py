"""How our own Chroma server is reached: in a network of its own, from which a helper hands us sockets, or over loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import aiohttp

from syncd.errors import RetryableError
from syncd.runtime.private_network import MESSAGE_MAX_BYTES, READY

_HAND_OVER_LIMIT_S = 2.0


class ServerNetwork:
    """Where our server listens, from one start of it to the next. `lost` is told when sockets cannot be had any more."""

    def __init__(self, lost: Callable[[str], None]) -> None:
        self._lost = lost
        self._helper: socket.socket | None = None
        self.obstacle: str | None = None
        """Why the server is in no network of its own; '' when it is, None while it is not known."""

    def open_channel(self) -> socket.socket:
        """Return the end of a channel that a new server's helper gets; the caller closes it once the helper has it."""
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._helper = ours
        return theirs

    async def settle(self, limit_s: float) -> None:
        """Wait until the new server is in its network, or is known to be in none. Raises RetryableError."""
        assert self._helper is not None
        try:
            async with asyncio.timeout(limit_s):
                told = await asyncio.get_running_loop().sock_recv(self._helper, MESSAGE_MAX_BYTES)
        except (TimeoutError, OSError) as error:
            raise RetryableError(f"the Chroma server's network is not made: {error or 'no answer'}") from error
        if not told:
            raise RetryableError("the Chroma server's network is not made: its process ended")
        self.obstacle = "" if told == READY else told.decode("utf-8", "replace")
        if self.obstacle:
            self.close()

    def new_socket(self) -> socket.socket:
        """Return an unconnected TCP socket that can reach the server. Blocks for some tens of microseconds.

        Raises ConnectionError while no server runs.
        """
        if self.obstacle:
            made = socket.socket()
        elif self._helper is None:
            raise ConnectionRefusedError("the Chroma server does not run")
        else:
            made = self._handed_over(self._helper)
        made.setblocking(False)
        return made

    def _handed_over(self, helper: socket.socket) -> socket.socket:
        helper.settimeout(_HAND_OVER_LIMIT_S)
        try:
            helper.send(b"s")
            _, descriptors, _, _ = socket.recv_fds(helper, len(READY), 1)
        except OSError as error:
            descriptors = []
            reason = str(error)
        else:
            reason = "its helper ended"
        finally:
            helper.setblocking(False)
        if not descriptors:
            self._lost(f"its network cannot be reached: {reason}")
            raise ConnectionRefusedError(f"the Chroma server's network cannot be reached: {reason}")
        return socket.socket(fileno=descriptors[0])

    def connector(self) -> aiohttp.TCPConnector:
        """Return what an HTTP session reaches the server through."""
        return aiohttp.TCPConnector(limit=0, socket_factory=self._socket_for)

    def _socket_for(self, _address: object) -> socket.socket:
        return self.new_socket()

    def close(self) -> None:
        """Let the helper end. Twice is safe."""
        helper, self._helper = self._helper, None
        if helper is not None:
            with suppress(OSError):
                helper.close()
