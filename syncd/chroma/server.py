"""Our own Chroma server: `chroma run` on a folder, started, watched and stopped gently."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import ConfigError, RetryableError
from syncd.runtime.process import Child, ChildDiedError, environment, tied

log = structlog.get_logger()

HOST = "127.0.0.1"
"""A local Chroma has no authentication, so it listens on loopback only."""

# What the `chroma` script does, without the chromadb package, which the server does not use.
_PROGRAM = "import sys, chromadb_rust_bindings as chroma; chroma.cli(['chroma', *sys.argv[1:]])"
_POLL_S = 0.1


class ChromaServer:
    """Actor that keeps one Chroma server running on `folder`, at `HOST` and `port`; started when it answers.

    Two servers on one folder would destroy it. The server therefore holds a lock on `<folder>.lock` while it runs, and a
    new one waits for the lock up to `leftover_limit_s`: a server left by a killed daemon gets SIGTERM and needs time to
    stop. It is never killed before it had `stop_limit_s`, because killing it can damage its index files.
    """

    name = "chroma"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        start_limit_s: float = 60.0,
        stop_limit_s: float = 30.0,
        leftover_limit_s: float = 60.0,
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._start_limit_s = start_limit_s
        self._stop_limit_s = stop_limit_s
        self._leftover_limit_s = leftover_limit_s

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the server until cancelled. Raises ChildDiedError when it ends, RetryableError when it cannot start."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = await self._spawn()
        try:
            await self._wait_until_it_answers(child)
            log.info("chroma.started", port=self.port, folder=str(self.folder))
            task_status.started()
            how = await child.wait()
            raise ChildDiedError(f"the Chroma server died: {how} (last output: {' / '.join(list(child.tail)[-3:])})")
        finally:
            await child.end(self._stop_limit_s)

    async def _spawn(self) -> Child:
        with _lock_file(self.folder) as descriptor:
            await self._take(descriptor)
            self._check_port()
            program = [sys.executable, "-P", "-c", _PROGRAM, "run"]
            arguments = ["--path", str(self.folder), "--host", HOST, "--port", str(self.port)]
            return await Child.spawn(
                "chroma",
                tied([*program, *arguments], signal.SIGTERM),
                env=environment(ANONYMIZED_TELEMETRY="False", DO_NOT_TRACK="1"),
                # The child inherits the lock and from here on is its only holder.
                pass_fds=[descriptor],
            )

    async def _take(self, descriptor: int) -> None:
        waiting = False
        with anyio.move_on_after(self._leftover_limit_s):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not waiting:
                        log.warning("chroma.leftover", folder=str(self.folder), limit_s=self._leftover_limit_s)
                    waiting = True
                    await anyio.sleep(_POLL_S)
                else:
                    return
        raise RetryableError(
            f"another Chroma server still uses {self.folder} after {self._leftover_limit_s:g} s: end it with SIGTERM"
        )

    def _check_port(self) -> None:
        """Raise ConfigError if another program uses the port, since what responds there would not be our server."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError as error:
                raise ConfigError(
                    f"chroma.port {self.port} is taken by another program ({error.strerror}): free it or choose another"
                ) from error

    async def _wait_until_it_answers(self, child: Child) -> None:
        with anyio.move_on_after(self._start_limit_s):
            while child.running:
                if await self._answers():
                    return
                await anyio.sleep(_POLL_S)
        if child.running:
            raise RetryableError(f"the Chroma server did not answer within {self._start_limit_s:g} s")
        how = await child.wait()
        raise ChildDiedError(f"the Chroma server did not start: {how} ({' / '.join(list(child.tail)[-3:])})")

    async def _answers(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://{HOST}:{self.port}/api/v2/heartbeat") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


def free_port() -> int:
    """Return a currently unused port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _lock_file(folder: Path) -> Generator[int]:
    descriptor = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
