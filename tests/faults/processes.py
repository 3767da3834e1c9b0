"""The daemon's children, and what may be done to them from outside."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.daemon import Daemon

MODEL, PREPARER = "syncd.pipeline.embed.worker", "syncd.pipeline.prepare.worker"


def children(daemon: Daemon, module: str) -> list[int]:
    """The process ids of a daemon's children that run a module."""
    assert daemon.process is not None
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == daemon.process.pid and module in (folder / "cmdline").read_text().split("\0"):
                found.append(int(folder.name))
    return found


def signalled(daemon: Daemon, module: str, number: signal.Signals) -> int:
    """Send a signal to all children that run a module; return how many got it."""
    pids = children(daemon, module)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return len(pids)


@contextmanager
def killing(daemon: Daemon, module: str, every_s: float = 0.05) -> Iterator[list[int]]:
    """Kill whatever runs a module, as soon as it does, until the block ends; yield a list that grows by one at each kill."""
    over, kills = threading.Event(), list[int]()

    def kill() -> None:
        while not over.wait(every_s):
            kills.extend([1] * signalled(daemon, module, signal.SIGKILL))

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield kills
    finally:
        over.set()
        thread.join()
