"""How soon a first sync answers: the first document found by words, every document, and the vectors complete.

    python -m tests.benchmarks.first_answer [--files 3000] [--tokens 400000] [--before CHECKOUT]

A repository over smart HTTP, the program in a process of its own with its own Chroma server, all-MiniLM-L6-v2. With `--before`,
the program of another checkout does the same before and after, and the ratio of the full syncs is printed.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.end_to_end import CONFIGURATION, ask, declare, real_files, settled
from tests.benchmarks.processes import Watched
from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.serving import serve

LIMIT_S = 3600.0
FOUND = (
    "SELECT (SELECT count(*) FROM documents WHERE state = 'indexed') + "
    "(SELECT count(*) FROM prepared WHERE findable AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.state = 'indexed' "
    "AND d.collection_id = prepared.collection_id AND d.key = prepared.key))"
)
FOUND_BEFORE = "SELECT count(*) FROM documents WHERE state = 'indexed'"
"""For programs that know no prepared documents."""


@dataclass(frozen=True)
class Figures:
    """Seconds since the source was declared, and the processor seconds of all processes until the end."""

    first_s: float
    all_s: float
    vectors_s: float
    cpu_s: float
    tokens: int

    def __str__(self) -> str:
        return (
            f"first found by words after {self.first_s:.1f} s, all after {self.all_s:.1f} s (1/{self.vectors_s / self.all_s:.1f} "
            f"of the sync), vectors complete after {self.vectors_s:.1f} s; {self.cpu_s:.0f} CPU s, {self.tokens} tokens"
        )


def measured(folder: Path, url: str, files: int, checkout: Path | None) -> Figures:
    """Sync the repository with the program of `checkout`, or this one's, and watch what is found meanwhile."""
    environment = {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"} if checkout else {}
    text = CONFIGURATION.format(model=MINILM, models=folder.parent / "models", threads=0, url=url)
    daemon = Daemon(folder, text, environment=environment).start()
    try:
        assert daemon.process is not None
        watched = Watched(daemon.process.pid)
        settled(daemon, declare(daemon, "small"))
        base = daemon.rows(FOUND_BEFORE)[0][0]
        statement = FOUND if daemon.rows("SELECT 1 FROM sqlite_master WHERE name = 'prepared'") else FOUND_BEFORE
        before, began = watched.cpu(), time.monotonic()
        invocation, first_s = declare(daemon, "code"), None
        while (found := daemon.rows(statement)[0][0] - base) < files:
            if found and first_s is None and answers(daemon):
                first_s = time.monotonic() - began
            assert time.monotonic() - began < LIMIT_S, daemon.log()
            time.sleep(0.1)
        all_s = time.monotonic() - began
        counts, vectors_s = settled(daemon, invocation)
        return Figures(first_s or all_s, all_s, vectors_s, (watched.cpu() - before).all_s, counts["tokens"])
    finally:
        daemon.stop()


def answers(daemon: Daemon) -> bool:
    """Return whether a search by words has a hit."""
    body = {"query": "import", "database_name": "default_database", "collection_name": "code", "mode": "sparse"}
    return bool(ask(daemon, "POST", "/api/v1/search", body)["hits"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=3000)
    options.add_argument("--tokens", type=int, default=400_000, help="of the whole repository, roughly")
    options.add_argument("--before", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = GitServer(folder / "git")
        server.held.set()
        server.folder.mkdir()
        server.create("owner/small", {"a.md": "# A\n\nTo load the model.\n"})
        server.create("owner/code", dict(real_files(given.files, given.tokens)))
        with serve(server.answer) as url:
            programs = [given.before, None, given.before] if given.before else [None]
            figures = [
                measured(folder / f"run-{number}", url, given.files, program) for number, program in enumerate(programs)
            ]
    for program, found in zip(programs, figures, strict=True):
        print(f"{'before' if program else 'now'}: {found}")
    if given.before:
        print(
            f"full sync, now ÷ before: {2 * figures[1].vectors_s / (figures[0].vectors_s + figures[2].vectors_s):.2f}"
        )


if __name__ == "__main__":
    main()
