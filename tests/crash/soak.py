"""Kill the daemon, with its own Chroma, again and again for as long as you like; it must never differ from an undisturbed one,
nor prepare, embed or write again what was durable.

    python -m tests.crash.soak [--kills 200] [--seed 0] [--files 24]

Each kill costs a start: allow five to ten seconds. Ends with an error, and keeps its folder, at the first difference.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from pathlib import Path

from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.files import find_file
from tests.crash.killing import Killing, daemons
from tests.git_server import GitServer
from tests.serving import serve

KILLS_PER_COMMIT = 4
NAMES = ("calm", "killed")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--files", type=int, default=24)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="syncd-soak-"))
    print(f"soaking in {folder}", flush=True)
    model = Catalog().find(MINILM)
    asyncio.run(find_file(model, model.file(), folder / "models"))
    server = GitServer(folder / "git")
    server.folder.mkdir()
    server.held.set()
    with serve(server.answer) as server.url:
        soak(given, folder, server)
    shutil.rmtree(folder)


def soak(given: argparse.Namespace, folder: Path, server: GitServer) -> None:
    """Live through enough commits for all kills."""
    killing = Killing(*daemons(folder, NAMES, server, folder / "models"), NAMES, server, KILLS_PER_COMMIT)
    commits = max(0, -(-given.kills // KILLS_PER_COMMIT) - 1)
    began = time.monotonic()
    try:
        for _ in killing.live(random.Random(given.seed), given.files, commits):
            minutes = (time.monotonic() - began) / 60
            print(
                f"{killing.kills} kills, {killing.kills_within_runs} of them within a run, {killing.kills_at_moments} at a moment of a "
                f"stage, {minutes:.1f} min",
                flush=True,
            )
    finally:
        for daemon in (killing.calm, killing.killed):
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.stop()
    print(f"after {killing.kills} kills the collection is that of an undisturbed daemon")


if __name__ == "__main__":
    main()
