"""Our own Chroma server: `chroma run` on a folder, started, watched and stopped gently."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.chroma.folder import (
    damage,
    left_over,
    lock_file,
    note_clean_stop,
    note_running,
    set_aside,
    set_index_aside,
)
from syncd.chroma.last_words import LastWords
from syncd.chroma.network import ServerNetwork
from syncd.errors import ConfigError, RetryableError
from syncd.runtime.process import Child, ChildDiedError, environment, python, tied

log = structlog.get_logger()

_CLEANLY = "exit status 0"
_REFUSES_DATABASE = "MigrationError"
"""What a server that does not start says of a database that SQLite can read: its list of migrations is damaged, or a newer server's."""
HOST = "127.0.0.1"
"""A local Chroma has no authentication, so it listens on loopback only."""

# What the `chroma` script does, without the chromadb package, which the server does not use.
_PROGRAM = "import sys, chromadb_rust_bindings as chroma; chroma.cli(['chroma', *sys.argv[1:]])"
_FIRST_PORT, _LAST_PORT = 20_000, 32_767
"""Below those that Linux gives to whoever asks for any (ip_local_port_range)."""
_PORTS_TRIED = 20
_POLL_S = 0.1
_SWEEP_EVERY_S = 60.0
_SUSPECT_AGAIN_S = 60.0


class ChromaServer:
    """Actor that keeps one Chroma server running on `folder`, at `HOST` and `port`; started when it answers. `is_private`: in
    a network of its own, `network`, where one can be had.

    Two servers on one folder would destroy it. The server therefore holds a lock on `<folder>.lock` while it runs, and a
    new one waits for the lock up to `leftover_limit_s`: a server left by a killed daemon gets SIGTERM and needs time to
    stop. It is never killed before it had `stop_limit_s`, because killing it can damage its index files. A folder whose
    database is damaged is moved to `<folder>.damaged`, and an empty one takes its place: the index fills it. So are a
    collection's index files, to `<folder>.damaged-indexes`, that the server dies of whoever reads them.
    """

    name = "chroma"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        is_private: bool = False,
        start_limit_s: float = 60.0,
        stop_limit_s: float = 30.0,
        leftover_limit_s: float = 60.0,
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.network = ServerNetwork(self.suspect) if is_private else None
        self._start_limit_s = start_limit_s
        self._stop_limit_s = stop_limit_s
        self._leftover_limit_s = leftover_limit_s
        self.unclean_stops = 0
        """How often a server, this one or one before it, was found to have died, so that its index files may be damaged."""
        self._compared_stops = 0
        self._last_words = LastWords()
        self._deadly: str | None = None
        self._refused: str | None = None
        self._suspicion: str | None = None
        self._suspected = anyio.Event()
        self._examined_at = -_SUSPECT_AGAIN_S

    @property
    def is_private(self) -> bool:
        """Whether the server, which has been started, is in a network of its own."""
        return self.network is not None and self.network.obstacle == ""

    def note_compared(self, unclean_stops: int) -> None:
        """Note that after so many unclean stops all that the server holds was compared with what it should hold.

        A server that ends before that counts as one that died: whoever starts the next one compares.
        """
        self._compared_stops = unclean_stops

    def suspect(self, reason: str) -> None:
        """Have the server stopped, its folder set aside if its database is damaged, and the server started again.

        Nothing happens within a minute of the last time, which found nothing.
        """
        if anyio.current_time() >= self._examined_at + _SUSPECT_AGAIN_S:
            self._suspicion = reason
            self._suspected.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the server until cancelled. Raises ChildDiedError when it ends, RetryableError when it cannot start."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = await self._spawn()
        try:
            if self.network is not None:
                await self.network.settle(self._start_limit_s)
            await self._wait_until_it_answers(child)
            log.info("chroma.started", port=self.port, folder=str(self.folder), is_private=self.is_private)
            task_status.started()
            await self._watch(child)
        finally:
            if await child.end(self._stop_limit_s) == _CLEANLY and self._compared_stops == self.unclean_stops:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(note_clean_stop, self.folder)
            if self.network is not None:
                self.network.close()

    async def _watch(self, child: Child) -> None:
        """Wait until the server ends or is suspected, and raise ChildDiedError; meanwhile sweep its folder."""
        how = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._sweep_on)
            group.start_soon(_cancel_when, self._suspected, group.cancel_scope)
            how = await child.wait()
            group.cancel_scope.cancel()
        if how is None:
            raise ChildDiedError(f"the Chroma server is stopped to be examined: {self._suspicion}")
        self._deadly = self._last_words.died(how, child.tail)
        raise ChildDiedError(f"the Chroma server died: {how} (last output: {' / '.join(list(child.tail)[-3:])})")

    async def _sweep_on(self) -> None:
        """Delete what deleted collections left behind, once it has been there for a while."""
        before: set[Path] = set()
        while True:
            found = set(await anyio.to_thread.run_sync(left_over, self.folder))
            await self._sweep(found & before)
            before = found
            await anyio.sleep(_SWEEP_EVERY_S)

    async def _sweep(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            log.info("chroma.swept", folder=str(folder))
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))

    async def _examine(self, descriptor: int) -> None:
        """Prepare the folder for a server, while none uses it."""
        self.unclean_stops += os.fstat(descriptor).st_size > 0
        suspicion, self._suspicion, self._suspected = self._suspicion, None, anyio.Event()
        refused, self._refused = self._refused, None
        reason = refused or (await anyio.to_thread.run_sync(damage, self.folder) if suspicion else None)
        if suspicion:
            self._examined_at = anyio.current_time()
        if reason:
            aside = await anyio.to_thread.run_sync(set_aside, self.folder)
            log.error("chroma.set_aside", folder=str(aside), reason=reason)
        deadly, self._deadly = self._deadly, None
        if deadly and (index := await anyio.to_thread.run_sync(set_index_aside, self.folder, deadly)):
            log.error("chroma.index_set_aside", folder=str(index), collection_id=deadly)
        await self._sweep(await anyio.to_thread.run_sync(left_over, self.folder))
        await anyio.to_thread.run_sync(note_running, descriptor, self.folder)

    async def _spawn(self) -> Child:
        with lock_file(self.folder) as descriptor:
            await self._take(descriptor)
            self._check_port()
            await self._examine(descriptor)
            program = [sys.executable, "-P", "-c", _PROGRAM, "run"]
            program += ["--path", str(self.folder), "--host", HOST, "--port", str(self.port)]
            # The child inherits the lock and from here on is its only holder.
            if self.network is None:
                return await self._child(tied(program, signal.SIGTERM), descriptor)
            with closing(self.network.open_channel()) as channel:
                command = python("syncd.runtime.private_network", str(channel.fileno()), *program)
                return await self._child(command, descriptor, channel.fileno())

    async def _child(self, command: Sequence[str], *descriptors: int) -> Child:
        variables = environment(ANONYMIZED_TELEMETRY="False", DO_NOT_TRACK="1")
        return await Child.spawn("chroma", command, env=variables, pass_fds=descriptors)

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
        self._suspicion = "it does not start"
        self._refused = next((line for line in child.tail if _REFUSES_DATABASE in line), None)
        raise ChildDiedError(f"the Chroma server did not start: {how} ({' / '.join(list(child.tail)[-3:])})")

    async def _answers(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=5)
        connector = self.network.connector() if self.network else None
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
                session.get(f"http://{HOST}:{self.port}/api/v2/heartbeat") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


def free_port() -> int:
    """Return a currently unused port of the loopback interface; if it can, one that the kernel gives nobody until it is used."""
    for _ in range(_PORTS_TRIED):
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)))
            return int(probe.getsockname()[1])
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
