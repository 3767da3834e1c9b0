"""Runs the `git` program in a controlled environment, ends it reliably, and translates its errors.

Nothing of the user's or the machine's git configuration applies, and nothing a repository holds is ever executed:
there is no work tree, so no hook, filter, symbolic link or submodule acts. The secret lives in the child's environment
only, as a header that is sent to one origin.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import Process

from syncd.errors import PermanentError, RetryableError
from syncd.sources.git.errors import Damaged, translate
from syncd.sources.git.patience import Patience
from syncd.sources.git.remote import Login, Remote

LOCAL_TIMEOUT_S = 600.0
KILL_GRACE_S = 3.0
MAX_COMPLAINT_BYTES = 65536
"""The end of what git says: the beginning of a fetch's is its progress."""

_PASSED_ON = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TMPDIR")
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")

_CONFIG: tuple[tuple[str, str], ...] = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.bigFileThreshold", "16m"),
    ("credential.helper", ""),
    ("core.askPass", ""),
    ("fetch.unpackLimit", "1"),
    ("fetch.writeCommitGraph", "false"),
    # What git objects to is old and harmless, as any clone takes it, or a name that `tree_names` refuses: nothing is checked out.
    ("transfer.fsckObjects", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.followRedirects", "false"),
    ("protocol.ext.allow", "never"),
    ("protocol.version", "2"),
    ("submodule.recurse", "false"),
    ("transfer.credentialsInUrl", "die"),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """What one command may access: only the local copy, unless told otherwise."""

    network: bool = False
    """Allows the remote's protocol; without it git cannot fetch missing objects on its own."""
    login: Login | None = None
    pin: str = ""
    """The only addresses of the remote's host, if not any will do."""
    trace: str = ""
    """A file that tells of every packet of the protocol, but the pack's: also of keep-alives, which curl's low speed limit
    takes for silence (five bytes every five seconds, uploadpack.keepAlive)."""
    tells_haves: bool = True
    """Whether a fetch says what is here. Not where files of a commit that is here are asked for: the server would take them for known."""
    keep_open: tuple[int, ...] = ()
    """File descriptors the program and all it starts inherit."""


LOCAL = Reach()


class Git:
    """Runs git in one bare repository. Cancelling ends the program and every program it started."""

    def __init__(self, folder: Path, remote: Remote, patience: Patience | None = None) -> None:
        self.folder = folder
        self.remote = remote
        self._patience = patience or Patience()

    async def call(self, *arguments: str, stdin: bytes = b"", reach: Reach = LOCAL) -> bytes:
        """Run one command to its end and return what it printed.

        Raises the errors of `errors.translate`, and RetryableError when it takes too long.
        """
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
            given.write(stdin)
            given.seek(0)
            if reach.network:
                await self._wait_for_server(arguments, given, printed, reach)
            else:
                await self._wait(arguments, given, printed, reach)
            printed.seek(0)
            return printed.read()

    async def _wait(self, arguments: Sequence[str], given: IO[bytes], printed: IO[bytes], reach: Reach) -> None:
        try:
            with anyio.fail_after(LOCAL_TIMEOUT_S):
                async with self.started(arguments, given, printed, reach):
                    pass
        except TimeoutError as error:
            raise RetryableError(f"git {arguments[0]} took longer than {LOCAL_TIMEOUT_S:.0f} s") from error

    async def _wait_for_server(
        self, arguments: Sequence[str], given: IO[bytes], printed: IO[bytes], reach: Reach
    ) -> None:
        pin = await self.remote.pin()
        with tempfile.NamedTemporaryFile() as trace, tempfile.TemporaryFile() as complaints:

            async def work() -> None:
                async with self.started(
                    arguments, given, printed, replace(reach, trace=trace.name, pin=pin), complaints
                ):
                    pass

            def signs() -> int:
                return os.fstat(trace.fileno()).st_size + os.fstat(complaints.fileno()).st_size

            await self._patience.wait(work, signs, arguments[0])

    @asynccontextmanager
    async def started(
        self,
        arguments: Sequence[str],
        stdin: IO[bytes] | int,
        stdout: IO[bytes] | int,
        reach: Reach = LOCAL,
        stderr: IO[bytes] | None = None,
    ) -> AsyncGenerator[Process]:
        """Run a command for the length of the block, then wait for its end; leaving by an error kills it.

        Raises the errors of `errors.translate` when it ends badly; a damaged copy has been discarded then.
        """
        with tempfile.TemporaryFile() as own:
            complaints = stderr or own
            process = await self.spawn(arguments, stdin, stdout, complaints, reach)
            try:
                yield process
                await process.wait()
            finally:
                await end(process)
            if process.returncode:
                complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - MAX_COMPLAINT_BYTES))
                complaint = complaints.read().decode("utf-8", "replace")
                error = translate(complaint, self.remote.name, arguments[0], str(self.folder))
                if isinstance(error, Damaged):
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise error

    async def spawn(
        self,
        arguments: Sequence[str],
        stdin: IO[bytes] | int,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
        reach: Reach = LOCAL,
    ) -> Process:
        """Start a command in a process group of its own; the caller ends it with `end`."""
        process: Process | None = None
        try:
            # Shielded: asyncio kills what is cancelled while it starts, but not what that has started meanwhile.
            with anyio.CancelScope(shield=True):
                process = await anyio.open_process(
                    ["git", f"--git-dir={self.folder}", *arguments],
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    env=self._environment(reach),
                    start_new_session=True,
                    pass_fds=reach.keep_open,
                )
        except FileNotFoundError as error:
            raise PermanentError("the git program is not installed: apt install git") from error
        assert process is not None
        return process

    def _environment(self, reach: Reach) -> dict[str, str]:
        """Return the whole environment of the program."""
        config = list(_CONFIG)
        if reach.login:
            config.append((f"http.{self.remote.origin}/.extraHeader", f"Authorization: {reach.login.header}"))
        if reach.pin:
            config.append(("http.curloptResolve", reach.pin))
        if not reach.tells_haves:
            config.append(("fetch.negotiationAlgorithm", "noop"))
        # A proxy would look the host up by itself, and dial what it finds.
        proxied = reach.network and not self.remote.guard
        passed_on = (*_PASSED_ON, *_PROXIES) if proxied else _PASSED_ON
        environment = {name: os.environ[name] for name in passed_on if name in os.environ}
        environment |= {
            "GIT_ALLOW_PROTOCOL": self.remote.scheme if reach.network else "none",
            "GIT_CONFIG_COUNT": str(len(config)),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            # Holds no .netrc and no .gitconfig: only git writes here, and never at the top level.
            "HOME": str(self.folder),
            "LC_ALL": "C",
        }
        if reach.network and self.remote.ssh:
            environment |= {"GIT_SSH_COMMAND": self.remote.ssh.command, "GIT_SSH_VARIANT": "ssh"}
        if reach.trace:
            environment["GIT_TRACE_PACKET"] = reach.trace
        for number, (key, value) in enumerate(config):
            environment[f"GIT_CONFIG_KEY_{number}"] = key
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment


async def end(process: Process) -> None:
    """End a program and all it started: with SIGTERM, so that git removes its locks, then with SIGKILL. Twice is safe."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            _signal(process.pid, signal.SIGTERM)
            with anyio.move_on_after(KILL_GRACE_S):
                await process.wait()
        if process.returncode is None:
            _signal(process.pid, signal.SIGKILL)
        await process.aclose()


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
