"""Child processes: started by spawn, in a group of their own, ended gently, never outliving the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import structlog

from syncd.errors import RetryableError
from syncd.runtime.launch import NUMPY_THREADS, PARENT_PID

log = structlog.get_logger()

_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR")
_LINE_LIMIT_BYTES = 1 << 16
_TAIL_LINES = 20


class ChildDiedError(RetryableError):
    """A child process ended while it was needed; the message names its exit status or signal."""


class ChildKilledError(ChildDiedError):
    """The child did not die of what it was doing: SIGKILL comes from outside, be it from the kernel when memory runs out, and so
    does a SIGSTOP.
    """


def environment(**extra: str) -> dict[str, str]:
    """Return the environment children get: locale, paths, one numpy thread and `extra`; none of the daemon's own secrets."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**NUMPY_THREADS, **kept, PARENT_PID: str(os.getpid()), **extra}


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` under this interpreter; the working folder is never imported
    from.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def tied(program: Sequence[str], death_signal: signal.Signals) -> list[str]:
    """Return the command that runs a foreign program which gets `death_signal` when this daemon ends."""
    return python("syncd.runtime.launch", death_signal.name, str(os.getpid()), *program)


def describe_exit(status: int) -> str:
    """Return an exit status in words: 'exit status 3' or 'signal SIGSEGV'."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


class Child:
    """One running child process; make it with `Child.spawn` and always `await child.end()` in a `finally`.

    Lines it writes to stderr (and to stdout unless `framed`) go to `on_line`, by default the log at debug;
    the last 20 are kept in `tail`.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str], None] | None) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = process
        self._on_line = on_line or self._log_line
        streams = [process.stderr] if process.stdin else [process.stderr, process.stdout]
        self._readers = [asyncio.create_task(self._read_lines(stream)) for stream in streams if stream]

    @classmethod
    async def spawn(
        cls,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        framed: bool = False,
        pass_fds: Sequence[int] = (),
        on_line: Callable[[str], None] | None = None,
    ) -> Child:
        """Start `command` in its own process group. `env` None: `environment()`. Raises ChildDiedError when
        it cannot start.

        `framed`: stdin and stdout are pipes for frames; otherwise stdin is /dev/null. Call it from the main
        thread: the kernel ties the child to the thread that starts it.
        """
        process: asyncio.subprocess.Process | None = None
        try:
            # Shielded: asyncio kills what is cancelled while it starts, and that hard; the caller's `end` does it better.
            with anyio.CancelScope(shield=True):
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE if framed else asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=environment() if env is None else dict(env),
                    limit=_LINE_LIMIT_BYTES,
                    process_group=0,
                    pass_fds=tuple(pass_fds),
                )
        except OSError as error:
            raise ChildDiedError(f"{name} could not be started: {error}") from error
        assert process is not None
        log.info("process.started", process=name, pid=process.pid)
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self._process.pid

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """The pipe to a framed child."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """The pipe from a framed child."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, as far as the event loop has heard."""
        return self._process.returncode is None

    @property
    def is_stopped(self) -> bool:
        """Whether it has been stopped by a signal and does nothing until it is continued. Source: proc_pid_stat(5)."""
        try:
            stat = Path("/proc", str(self.pid), "stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b") ")[2][:1] in (b"T", b"t")

    async def wait(self) -> str:
        """Wait until it has ended and return how, in words ('signal SIGKILL'). Twice is safe."""
        return describe_exit(await self._process.wait())

    def signal_group(self, number: signal.Signals) -> None:
        """Send `number` to the child and everything it started; nothing happens when all are gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def end(self, gentle_s: float = 5.0) -> str:
        """End the whole group and return how the child ended: SIGTERM, up to `gentle_s` of patience, then
        SIGKILL.

        Runs to its end even when the caller is being cancelled. Twice is safe.
        """
        with anyio.CancelScope(shield=True):
            if self.running and gentle_s > 0:
                self.signal_group(signal.SIGTERM)
                with anyio.move_on_after(gentle_s):
                    await self._process.wait()
            if self.running:
                log.warning("process.killed", process=self.name, pid=self.pid, patience_s=gentle_s)
            self.signal_group(signal.SIGKILL)
            await self._process.wait()
            await self._close_pipes()
        return await self.wait()

    async def _close_pipes(self) -> None:
        with anyio.move_on_after(1):
            await asyncio.gather(*self._readers)
        for reader in self._readers:
            reader.cancel()
        if self._process.stdin:
            self._process.stdin.close()

    async def _read_lines(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # an over-long line: asyncio drops what it had buffered, the rest follows
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self.tail.append(text)
            self._on_line(text)

    def _log_line(self, line: str) -> None:
        log.debug("process.output", process=self.name, line=line)
