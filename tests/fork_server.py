"""Starts programs without importing syncd and chromadb anew for each, which is most of what a start costs: `python -m tests.fork_server SOCKET`.

A server imports them once and forks for every order that comes through the socket: a JSON object beside three files, for what the program prints,
for its errors, and for what becomes of it: its process id and, when it has ended, its exit status, a line each. It ends with the socket. What is
forked runs as `python -m PROGRAM …` would: its arguments, environment, folder and output are its own, and it has one parent, which only waits for it.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from syncd.runtime.launch import NUMPY_THREADS

ROOT = Path(__file__).parent.parent
PRELOADED = ("syncd.cli.run", "syncd.app", "syncd.chroma.transport")
ORDER_BYTES = 1 << 20
NEEDS_ITS_OWN_START = ("LD_PRELOAD", "PYTHONHASHSEED")


@dataclass
class Forked:
    """What `subprocess.Popen` tells of a process, of one that the fork server started."""

    pid: int
    news: int
    """Where the server tells of its end; open until then."""
    returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("a forked program", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, timeout_s: float | None) -> int | None:
        if self.returncode is None:
            told = select.poll()
            told.register(self.news)
            if told.poll(None if timeout_s is None else timeout_s * 1000):
                self.returncode = int(_line(self.news))
                os.close(self.news)
        return self.returncode


def can_start(environment: Mapping[str, str]) -> bool:
    """Tell whether a program with this environment would be what it is after a start of its own."""
    return not any(name in environment for name in NEEDS_ITS_OWN_START) and environment.get("PYTHONPATH") in (
        None,
        str(ROOT),
        os.environ.get("PYTHONPATH"),
    )


def start(command: Sequence[str], environment: Mapping[str, str], output: int, errors: int) -> Forked:
    """Start `python -m` with a command, as a fork of this process's server; whoever calls may close its files."""
    order = {"command": command, "environment": dict(environment), "folder": os.getcwd()}
    news, told = os.pipe()
    socket.send_fds(_server(), [json.dumps(order).encode()], [output, errors, told])
    os.close(told)
    return Forked(int(_line(news)), news)


def run(command: Sequence[str], environment: Mapping[str, str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """Run `python -m` with a command to its end, as `subprocess.run` would."""
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        status = start(command, environment, output.fileno(), errors.fileno()).wait(limit_s)
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(command, status, output.read(), errors.read())


@cache
def _server() -> socket.socket:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, "-m", "tests.fork_server", str(its.fileno())],
        pass_fds=[its.fileno()],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env=NUMPY_THREADS | os.environ,
    )
    its.close()
    return ours


def _line(file: int) -> bytes:
    """Read up to the end of a line, byte by byte, since another may follow."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(file, 1)
        assert byte, "the fork server ended"
        line += byte
    return line


def serve(orders: socket.socket) -> None:
    """Fork for each order until the socket ends; in what is forked, run the program instead, and leave as it does."""
    for module in PRELOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        text, files, *_ = socket.recv_fds(orders, ORDER_BYTES, 3)
        if not text:
            return
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            be_parent_of(json.loads(text), *files)
            return
        for file in files:
            os.close(file)


def be_parent_of(order: dict[str, Any], output: int, errors: int, news: int) -> None:
    """Fork the program and tell of it; return only in the program, when that has ended without saying how."""
    pid = os.fork()
    if pid:
        os.write(news, b"%d\n" % pid)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(news, b"%d\n" % status)
        os._exit(0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    for file in (output, errors, news):
        os.close(file)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    program, *sys.argv[1:] = order["command"]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
