"""How soon a first sync answers: the first document found by words, every document, and the vectors complete; what preparing
alone costs, and how full the model's batches are.

    python -m tests.benchmarks.first_answer [--files 3000] [--tokens 400000] [--before CHECKOUT]

A repository over smart HTTP, the program in a process of its own with its own Chroma server, all-MiniLM-L6-v2. With `--before`,
the program of another checkout does the same before and after, and the ratio of the full syncs is printed.
"""

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncd.pipeline.embed.catalog import Catalog
from syncd.pipeline.embed.local import open_embedder
from syncd.pipeline.token_counting import AT_ONCE
from tests.benchmarks.end_to_end import CONFIGURATION, ask, chunked, declare, real_files, settled
from tests.benchmarks.preparing import prepare_all
from tests.benchmarks.processes import Watched
from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.serving import serve

LIMIT_S = 3600.0
MAX_TOKENS = 256
"""MiniLM's window."""
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
    batch_fill: float | None
    """The share of the batches' room that tokens fill, on average."""

    def __str__(self) -> str:
        fill = "" if self.batch_fill is None else f", batches {self.batch_fill:.0%} full"
        return (
            f"first found by words after {self.first_s:.1f} s, all after {self.all_s:.1f} s (1/{self.vectors_s / self.all_s:.1f} "
            f"of the sync), vectors complete after {self.vectors_s:.1f} s; {self.cpu_s:.0f} CPU s, {self.tokens} tokens{fill}"
        )


def measured(folder: Path, url: str, files: int, checkout: Path | None) -> Figures:
    """Sync the repository with the program of `checkout`, or this one's, and watch what is found meanwhile."""
    environment = {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"} if checkout else {}
    text = CONFIGURATION.format(model=MINILM, models=folder.parent / "models", threads=0, url=url)
    program = ("syncd",) if checkout else ("tests.benchmarks.batches", str(folder.with_suffix(".batches")))
    daemon = Daemon(folder, text, program, environment).start()
    try:
        assert daemon.process is not None
        watched = Watched(daemon.process.pid)
        settled(daemon, declare(daemon, "small"))
        base = daemon.rows(FOUND_BEFORE)[0][0]
        statement = FOUND if daemon.rows("SELECT 1 FROM sqlite_master WHERE name = 'prepared'") else FOUND_BEFORE
        before, began = watched.cpu(), time.monotonic()
        invocation, first_s = declare(daemon, "code"), None
        for _ in daemon.commits():
            found = daemon.rows(statement)[0][0] - base
            if found and first_s is None and answers(daemon):
                first_s = time.monotonic() - began
            if found >= files:
                break
            assert time.monotonic() - began < LIMIT_S, daemon.log()
        all_s = time.monotonic() - began
        counts, vectors_s = settled(daemon, invocation)
        cpu_s, fill = (watched.cpu() - before).all_s, None if checkout else batch_fill(folder.with_suffix(".batches"))
        return Figures(first_s or all_s, all_s, vectors_s, cpu_s, counts["tokens"], fill)
    finally:
        daemon.stop()


def batch_fill(path: Path) -> float:
    """Read what `tests.benchmarks.batches` has written: the tokens of every batch, and how many there was room for."""
    batches = [tuple(map(int, line.split())) for line in path.read_text().splitlines()]
    return statistics.mean(tokens / room for tokens, room in batches)


def preparing(files: Mapping[str, str], folder: Path) -> str:
    """Return what it costs to prepare the files alone, with the real processes, and to count their tokens, in words."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    before_s = used_s()
    asyncio.run(prepare_all([folder / name for name in files]))
    cpu_s = used_s() - before_s
    megabytes = sum(len(text.encode()) for text in files.values()) / 1e6
    texts = chunked(dict(files), MAX_TOKENS)
    counting_s = asyncio.run(counted(texts, folder.parent / "models"))
    return (
        f"preparing alone: {len(files) / cpu_s:.0f} files and {megabytes / cpu_s:.2f} MB a CPU second; counting the tokens of "
        f"{len(texts)} chunks costs {counting_s:.2f} CPU s, {counting_s / cpu_s:.1%} of that"
    )


async def counted(texts: Sequence[str], models: Path) -> float:
    """Return the CPU seconds that counting takes in the model's process."""
    async with open_embedder(Catalog().find(MINILM), models) as embedder:
        watched = Watched(embedder.process.pid)
        before = watched.cpu()
        for start in range(0, len(texts), AT_ONCE):
            await embedder.count_tokens(texts[start : start + AT_ONCE])
        return (watched.cpu() - before).all_s


def used_s() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


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
        files = real_files(given.files, given.tokens)
        server.create("owner/code", dict(files))
        print(preparing(files, folder / "files"), flush=True)
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
