"""Programs that start as forks of a process that has imported the daemon, which takes more than two CPU seconds, once for many.

As a program (`Forks` starts it): python -m tests.forked FILE_DESCRIPTOR
"""

import atexit
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from syncd import sources
from syncd.runtime.launch import NUMPY_THREADS

FACTORIES = Path(sources.__file__).parent.glob("*/factory.py")
REQUEST_MAX_SIZE_BYTES = 1 << 16
STATUS_SIZE_BYTES = 4
POLL_S = 0.01
IMPORTED = (
    "syncd.app",
    "syncd.cli.execution",
    "syncd.cli.run",
    "syncd.chroma.transport",
    "syncd.pipeline.embed.local",
    "anyio._backends._asyncio",
    "h11",
)
"""What a daemon imports, beside the factories of sources, some of it only when it runs."""


@dataclass
class Forked:
    """A program that was started, as far as `subprocess.Popen` has the same. Its status comes through a pipe from its parent."""

    pid: int
    pipe: int
    returncode: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        with self._lock:
            if self.returncode is None and self._has_ended():
                self.returncode = int.from_bytes(os.read(self.pipe, STATUS_SIZE_BYTES), sys.byteorder, signed=True)
                os.close(self.pipe)
        return self.returncode

    def _has_ended(self) -> bool:
        told = select.poll()  # of any number of files, as select is not
        told.register(self.pipe)
        return bool(told.poll(0))

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended and return its exit status. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(POLL_S)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Forks:
    """A process to fork programs from. `environment` is its own: what takes effect at the start of a process, such as LD_PRELOAD."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                env={**NUMPY_THREADS, **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: int, errors: int | None = None
    ) -> Forked:
        """Run a module as `python -m` would, with arguments, in an environment; what it writes goes to the file `output`, and to `errors`
        if that is given.
        """
        request = {"arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd())}
        reading, writing = os.pipe()
        with self._lock:
            files = [output, output if errors is None else errors, writing]
            socket.send_fds(self._requests, [json.dumps(request).encode()], files)
        os.close(writing)
        pid = int.from_bytes(os.read(reading, STATUS_SIZE_BYTES), sys.byteorder)
        assert pid, "the process to fork from has ended"
        return Forked(pid, reading)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], limit_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a module to its end, as `subprocess.run` would."""
        with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
            status = self.start(arguments, environment, output.fileno(), errors.fileno()).wait(limit_s)
            for file in (output, errors):
                file.seek(0)
            return subprocess.CompletedProcess(arguments, status, output.read(), errors.read())

    def close(self) -> None:
        """End the process to fork from; what runs goes on."""
        self._requests.close()
        self._process.wait()


@lru_cache(maxsize=1)
def shared_forks() -> Forks:
    """Return what all of this process may fork from, until it ends."""
    forks = Forks()
    atexit.register(forks.close)
    return forks


def serve(requests: socket.socket) -> None:
    """Start what is asked for until nobody can ask any more."""
    gc.freeze()
    while files := (received := socket.recv_fds(requests, REQUEST_MAX_SIZE_BYTES, 3))[1]:
        # Parents of programs, which end when these have.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not os.fork():
            requests.close()
            become_parent(json.loads(received[0]), *files)
            return
        for file in files:
            os.close(file)


def become_parent(request: dict[str, Any], output: int, errors: int, status: int) -> None:
    """Start a program and report how it ended. Only the program returns from this."""
    if not (pid := os.fork()):
        os.dup2(output, 1)
        os.dup2(errors, 2)
        for file in (output, errors, status):
            os.close(file)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        random.seed()
        module, *sys.argv[1:] = request["arguments"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    os.write(status, pid.to_bytes(STATUS_SIZE_BYTES, sys.byteorder))
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(status, ended.to_bytes(STATUS_SIZE_BYTES, sys.byteorder, signed=True))
    os._exit(0)


if __name__ == "__main__":
    for module in (*IMPORTED, *(f"syncd.sources.{file.parent.name}.factory" for file in FACTORIES)):
        import_module(module)
    serve(socket.socket(fileno=int(sys.argv[1])))
