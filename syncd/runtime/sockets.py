"""The addresses a program listens on, known before it serves; and Unix sockets in folders of any depth: their paths may have
107 bytes only (unix(7)), folders' may have 4,095.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from syncd.errors import ConfigError
from syncd.quoting import told

LONGEST_PATH_BYTES = 100


class BoundSockets:
    """Sockets that hold a port; nobody is answered before somebody serves them. `address` says which: `port` 0 took a free one."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self.address: tuple[str, int] = sockets[0].getsockname()[:2]

    @property
    def url(self) -> str:
        """Where HTTP is served on them."""
        return http_url(*self.address)

    def duplicates(self) -> list[socket.socket]:
        """Return sockets to serve; whoever serves them closes them, and a next server gets others of the same addresses."""
        return [held.dup() for held in self._sockets]


@asynccontextmanager
async def bound(host: str, port: int) -> AsyncGenerator[BoundSockets]:
    """Yield sockets bound to all addresses of `host`; they are closed at the end. Raises ConfigError when one is taken."""
    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({told(error)}); end what listens there, or choose another port"
        ) from error
    with ExitStack() as stack:
        sockets = [stack.enter_context(held.dup()) for held in server.sockets]
        server.close()
        yield BoundSockets(sockets)


def http_url(host: str, port: int) -> str:
    """Return the URL of a host, which may be an address of version 6."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def reachable(path: Path) -> Generator[str]:
    """Yield a path short enough to bind or connect to, valid until the block ends; its folder must exist.

    A long one leads through an open descriptor of its folder, in /proc/self/fd. Raises OSError.
    """
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
