"""A daemon over a folder, what it says of itself, and what may be done to its children from outside."""

import json
import os
import signal
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.app.test_daemon import request
from tests.daemon import Daemon

CODE = "def function_{0}(value):\n    return value * {0}\n\n\nclass Number{0}:\n    value = {0}\n"
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


def watching(folder: Path) -> str:
    """The configuration of a source that watches a folder."""
    return f'[[sources]]\nname = "code"\ntype = "folder"\npath = "{folder}"\ncollection = "code"\nwatch = true\n'


def write(folder: Path, name: str, files: int) -> set[str]:
    """Write some modules; return their keys."""
    for number in range(files):
        (folder / f"{name}_{number}.py").write_text(CODE.format(number))
    return {f"{name}_{number}.py" for number in range(files)}


def indexed(daemon: Daemon) -> set[str]:
    """The keys of the documents that are indexed."""
    return {key for (key,) in daemon.rows("SELECT key FROM documents WHERE state = 'indexed'")}


def health(daemon: Daemon) -> str:
    """What /health says is wrong, '' when nothing is."""
    try:
        request(daemon, "GET", "/health")
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["message"] if error.code == 503 else f"status {error.code}"
    return ""
