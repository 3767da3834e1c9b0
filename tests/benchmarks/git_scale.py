"""What a repository of many files costs, beside git's own `clone --depth 1` and `fetch --depth 1` of the same.

    python -m tests.benchmarks.git_scale [--files 100000]

The files are text of random words, served by git's own server over smart HTTP, which gives commits without their files. The daemon, in a process of its own,
indexes one of them, so that its time is the fetch's and the listing's, not the model's, which is warm.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.end_to_end import CONFIGURATION
from tests.benchmarks.processes import Watched
from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.serving import serve

SOURCE = """
[[sources]]
name = "{name}"
type = "github"
repository = "owner/{name}"
branch = "main"
collection = "{name}"
include_globs = ["/README.md"]
"""
WORDS = [f"{number:05x}" for number in random.Random(1).sample(range(1 << 20), 3000)]
RUN_S = (
    "SELECT i.finished_at - i.created_at FROM invocations i JOIN sources s ON s.id = i.source_id "
    "WHERE s.name = ? AND i.state = 'complete' ORDER BY i.seq"
)
LIMIT_S = 3600.0


def text_of(number: int) -> str:
    made = random.Random(number)
    return " ".join(made.choices(WORDS, k=made.randint(50, 600))) + "\n"


def path_of(number: int) -> str:
    return f"src/{number // 1000:03}/{number // 50 % 20:02}/f{number:06}.py"


def git(*arguments: str) -> None:
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *arguments], env=environment, check=True, capture_output=True)


def size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def timed(work: Callable[[], object]) -> float:
    """Return the seconds by the clock."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=100_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = GitServer(folder / "git")
        server.held.set()
        server.folder.mkdir()
        server.create("owner/small", {"README.md": "small\n"})
        server.create("owner/big", {path_of(number): text_of(number) for number in range(given.files)})
        server.commit("owner/big", {"README.md": "big\n"})
        server.allow_filters("owner/big")
        with serve(server.answer) as url:
            measure(server, url, folder)


def measure(server: GitServer, url: str, folder: Path) -> None:
    """Print what git takes and what the daemon takes, for everything and for one file."""
    clone = folder / "clone.git"
    whole_s = timed(lambda: git("clone", "--bare", "--depth=1", f"{url}/owner/big.git", str(clone)))
    daemon = Daemon(folder / "run", CONFIGURATION.format(model=MINILM, models=folder / "models", threads=0, url=url))
    daemon.start()
    try:
        assert daemon.process is not None
        synced(daemon, "small", 1)
        watched = Watched(daemon.process.pid)
        idle_mib, before = watched.memory_mib(), watched.cpu()
        watched.forget_peak()
        first_s = synced(daemon, "big", 1)
        peak_mib, used = watched.peak_mib(), watched.cpu() - before
        copies = {size_mb(copy): copy for copy in daemon.state.glob("git*/*")}
        print(f"git clone --depth 1: {whole_s:.1f} s, {size_mb(clone):.1f} MB")
        print(
            f"first sync: {first_s:.1f} s ({first_s / whole_s:.2f}), {max(copies):.1f} MB ({max(copies) / size_mb(clone):.2f})"
        )
        print(f"  {used}; memory of the daemon: idle {idle_mib:.0f} MiB, at most {peak_mib:.0f} MiB")
        sha = server.commit("owner/big", {"README.md": "changed\n"})
        fetch_s = timed(lambda: git(f"--git-dir={clone}", "fetch", "--depth=1", f"{url}/owner/big.git", sha))
        before = watched.cpu()
        watched.forget_peak()
        request_run(daemon, "big")
        push_s = synced(daemon, "big", 2)
        print(f"git fetch of one changed file: {fetch_s:.2f} s")
        print(
            f"sync of it: {push_s:.2f} s ({push_s / fetch_s:.1f}), at most {watched.peak_mib():.0f} MiB; {watched.cpu() - before}"
        )
    finally:
        daemon.stop()


def request_run(daemon: Daemon, name: str) -> None:
    """Ask for a run as people do."""
    words = ("sync", name, "--collection", name, "--config", str(daemon.folder / "syncd.toml"))
    subprocess.run([sys.executable, "-m", "syncd", *words], check=True, capture_output=True)


def synced(daemon: Daemon, name: str, runs: int) -> float:
    """Declare the repository unless it is, wait until it had so many runs, and return the last one's seconds."""
    assert daemon.process is not None
    with (daemon.folder / "syncd.toml").open("a+") as file:
        file.seek(0)
        if f'"{name}"' not in file.read():
            file.write(SOURCE.format(name=name))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: len(daemon.rows(RUN_S, name)) >= runs, LIMIT_S)
    return daemon.rows(RUN_S, name)[-1][0]


if __name__ == "__main__":
    main()
