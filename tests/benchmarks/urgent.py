"""How soon a changed file is found while a backfill runs, beside the same change in an idle daemon.

    python -m tests.benchmarks.urgent [--files 10000] [--tokens 2000000] [--changes 8]

A watched folder whose files of one kilobyte change one after another, and a repository over smart HTTP that is synced meanwhile.
From the moment the file is written to the moment a semantic search finds it, with the program in a process of its own, its own
Chroma server and all-MiniLM-L6-v2.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path

from tests.benchmarks.end_to_end import CONFIGURATION, ask, declare, real_files
from tests.benchmarks.processes import Watched
from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.serving import serve

WORDS = ("harbour", "ledger", "orchard", "lantern", "glacier", "violin", "compass", "bakery")
SIZE_BYTES = 1024
LIMIT_S = 120.0
FOLDER = """
[folder]
allowed_roots = ["{path}"]
[[sources]]
name = "notes"
type = "folder"
path = "{path}"
collection = "notes"
"""
STAGED = (
    "SELECT d.recorded_at FROM documents d JOIN chunks c ON c.document_id = d.id WHERE d.key = ? AND c.text LIKE ? "
    "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.document_id = d.id)"
)
ASKED = (
    "SELECT i.created_at, i.started_at FROM invocations i JOIN sources s ON s.id = i.source_id WHERE s.name = 'notes' "
    "AND i.created_at > ? ORDER BY i.created_at LIMIT 1"
)
STAGES = "SELECT count(*) FILTER (WHERE wanted > 0), count(*) FILTER (WHERE wanted = 0), coalesce(sum(wanted_tokens), 0) FROM prepared"


@dataclass(frozen=True)
class Change:
    """Seconds from writing a file until it was asked for, begun, staged with its vectors, written, and found by a search."""

    asked_s: float
    begun_s: float
    staged_s: float
    written_s: float
    found_s: float


def change(daemon: Daemon, folder: Path, number: int) -> Change:
    """Change a file and wait until a semantic search for what it says finds it."""
    word, key = WORDS[number % len(WORDS)], f"{number % 2}.md"
    text = f"# Number {number}\n\n"
    while len(text) < SIZE_BYTES:
        text += f"The {word} of number {number} stands where nobody looked for a {word}. "
    began, began_at = time.monotonic(), time.time()
    (folder / key).write_text(text)
    for _ in daemon.commits():
        if staged := daemon.rows(STAGED, key, f"# Number {number}\n%"):
            break
        assert time.monotonic() - began < LIMIT_S, daemon.log()
    written_s = time.monotonic() - began
    while not is_found(daemon, f"the {word} of number {number}", f"# Number {number}\n"):
        assert time.monotonic() - began < LIMIT_S, daemon.log()
    found_s = time.monotonic() - began
    ((created_at, started_at),) = daemon.rows(ASKED, began_at)
    return Change(created_at - began_at, started_at - began_at, staged[0][0] - began_at, written_s, found_s)


def is_found(daemon: Daemon, query: str, text: str) -> bool:
    """Return whether a semantic search has a hit that begins with `text`."""
    body = {"query": query, "database_name": "default_database", "collection_name": "notes", "mode": "dense"}
    return any(hit["text"].startswith(text) for hit in ask(daemon, "POST", "/api/v1/search", body)["hits"])


def described(name: str, changes: list[Change]) -> str:
    found = sorted(one.found_s for one in changes)
    steps = ", ".join(
        f"{field.name.removesuffix('_s')} {statistics.median(getattr(one, field.name) for one in changes):.2f}"
        for field in fields(Change)
    )
    return f"{name}: found after {statistics.median(found):.2f} s (median of {len(found)}), {found[-1]:.2f} s at worst ({steps})"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--tokens", type=int, default=2_000_000, help="of the whole repository, roughly")
    options.add_argument("--changes", type=int, default=8)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notes, server = folder / "notes", GitServer(folder / "git")
        notes.mkdir()
        server.held.set()
        server.folder.mkdir()
        server.create("owner/code", dict(real_files(given.files, given.tokens)))
        with serve(server.answer) as url:
            text = CONFIGURATION.format(model=MINILM, models=folder / "models", threads=0, url=url)
            daemon = Daemon(folder / "run", text + FOLDER.format(path=notes)).start()
            try:
                measure(daemon, notes, given.changes)
            finally:
                daemon.stop()


def measure(daemon: Daemon, notes: Path, changes: int) -> None:
    """Print what changes take in an idle daemon, in one that reads a repository, and in one that embeds it."""
    daemon.wait_until(lambda: bool(daemon.rows("SELECT 1 FROM cursors")))
    change(daemon, notes, 0)
    idle = [change(daemon, notes, number) for number in range(1, changes + 1)]
    print(described("idle", idle), flush=True)
    assert daemon.process is not None
    watched = Watched(daemon.process.pid)
    invocation, before = declare(daemon, "code"), watched.cpu()
    daemon.wait_until(lambda: daemon.rows(STAGES)[0][0] > 0)
    for name, is_over in (
        ("while documents are prepared", lambda: is_prepared(daemon, invocation)),
        ("while vectors are computed", lambda: False),
    ):
        busy: list[Change] = []
        while len(busy) < changes and not is_over():
            busy.append(change(daemon, notes, 1000 + int(time.monotonic() * 1000) % 10**8))
        ratio = statistics.median(one.found_s for one in busy) / statistics.median(one.found_s for one in idle)
        wanted, _, tokens = daemon.rows(STAGES)[0]
        print(
            f"{described(name, busy)}, {ratio:.1f} times as long as idle; {wanted} documents and {tokens} tokens wait",
            flush=True,
        )
        daemon.wait_until(lambda: is_prepared(daemon, invocation), 3600)
    print(f"{watched.cpu() - before} meanwhile")


def is_prepared(daemon: Daemon, invocation: str) -> bool:
    """Return whether the source has yielded everything and all of it is prepared: only then is its total met."""
    found = ask(daemon, "GET", f"/api/v1/invocations/{invocation}")
    counts, stages = found["counts"], found["stages"] or {"prepared": 0, "embedded": 0}
    done = counts["indexed"] + counts["skipped"] + counts["failed"] + stages["prepared"] + stages["embedded"]
    return counts["found"] > 0 and done >= counts["found"] and found["status"] != "pending"


if __name__ == "__main__":
    main()
