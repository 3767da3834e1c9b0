"""Break things under the real program as often as you like, from seeds, and print the table of what came of it.

    python -m tests.faults [--losses 20] [--flips 20] [--kills 20] … [--ci] [--seed 0] [--per-history 20]

`--losses` are power losses at any effect of a daemon's life, `--flips` bits flipped in any file of a state folder; after each a daemon
starts on what is left, and its collections are compared with those of an undisturbed one: fifteen to sixty seconds. Another daemon's
life is written down every so many. All others are done to a daemon while it works, and its collections are compared, ids and all, with
those of one that lives through the same and is left alone: three to thirty seconds. `--ci` asks for what is run every night. Whatever is wrong is printed,
and the state folder as it then was is kept.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.disturbances import DISTURBANCES, Disturbance
from tests.faults.flips import CHECKS, flips
from tests.faults.kept import Recovery
from tests.faults.power import History
from tests.faults.truth import Difference

HEADINGS = (
    "fault",
    "runs",
    "faults",
    "lost",
    "doubled",
    "stale",
    "damaged",
    "unreadable",
    "advised",
    "healed",
    "seconds",
)
NIGHTLY = {"kills": 200, "chroma_kills": 30, "model_kills": 50, "losses": 20, "flips": 60}


@dataclass
class Row:
    """One row of the table: chunks by what was wrong with them in the end, and runs that ended well."""

    fault: str
    runs: int = 0
    faults: int = 0
    wrong: Difference = field(default_factory=Difference)
    advised: int = 0
    """Runs in which the daemon did not start, and said what to do."""
    healed: int = 0
    seconds: float = 0.0

    def count(self, recovery: Recovery, faults: int) -> None:
        """Add a run."""
        self.runs += 1
        self.faults += faults
        self.healed += not recovery.wrong
        self.advised += recovery.advises
        if not recovery.advises:
            self.wrong = self.wrong.plus(recovery.wrong)

    def __str__(self) -> str:
        cells = (self.fault, self.runs, self.faults, *self.wrong.counts, self.advised, self.healed, round(self.seconds))
        return f"| {' | '.join(map(str, cells))} |"


@dataclass(frozen=True)
class Run:
    """One of many: what was done, how often, in which folder, and what came of it."""

    what: str
    faults: int
    folder: Path
    recovery: Recovery


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("losses", "flips", *DISTURBANCES):
        options.add_argument(f"--{name.replace('_', '-')}", type=int, default=0)
    options.add_argument("--ci", action="store_true")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--per-history", type=int, default=20)
    given = options.parse_args()
    counts = (
        NIGHTLY
        if given.ci
        else {name: count for name in ("losses", "flips", *DISTURBANCES) if (count := getattr(given, name))}
    )
    if not counts:
        options.error("say what is to be broken, and how often")
    folder = Path(tempfile.mkdtemp(prefix="syncd-faults-"))
    print(f"breaking things in {folder}", flush=True)
    table: list[Row] = []
    for name, count in counts.items():
        if name == "losses":
            runs = losses(folder, given.seed, count, given.per_history)
        elif name == "flips":
            runs = flipped(folder, given.seed, count, given.per_history)
        else:
            runs = disturbed(folder / name, DISTURBANCES[name], random.Random(f"{given.seed} {name}"), count)
        table.append(
            soaked(Row({"losses": "power loss", "flips": "flipped bit"}.get(name) or DISTURBANCES[name].label), runs)
        )
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    print("\n".join(map(str, table)))
    if any(row.wrong for row in table):
        return 1
    shutil.rmtree(folder)
    return 0


def soaked(row: Row, runs: Iterator[Run]) -> Row:
    """Go through all of them; print how each ended, and keep what went wrong."""
    began = time.monotonic()
    for run in runs:
        row.count(run.recovery, run.faults)
        outcome = "advised" if run.recovery.advises else run.recovery.wrong or "healed"
        print(f"{run.what}: {outcome}", flush=True)
        log = run.folder / "daemon" / "log"
        if run.recovery.wrong and not run.recovery.advises:
            kept = run.folder / f"wrong-{row.runs}"
            shutil.copytree(run.folder / "daemon", kept, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
            print(f"{kept}: {run.recovery.said}\n{log.read_text()[-2000:]}", flush=True)
        os.truncate(log, 0)
    row.seconds = time.monotonic() - began
    return row


def disturbed(folder: Path, disturbance: Disturbance, rng: random.Random, count: int) -> Iterator[Run]:
    """Yield what was done to a daemon while it worked, and what it held in the end. After one that went wrong others go on."""
    done, lives = 0, 0
    while done < count:
        lives += 1
        with ExitStack() as stack:
            twins = disturbance.twins(folder / str(lives), stack)
            twins.start()
            while done < count:
                twins.change(rng, whole=disturbance.is_whole)
                faults = sum(disturbance.fault(twins, rng) for _ in range(min(disturbance.per_run, count - done)))
                recovery = twins.compare()
                done += faults
                yield Run(f"{disturbance.label} {done}", faults, twins.folder / "disturbed", recovery)
                if recovery.wrong:
                    break


def histories(
    folder: Path, name: str, seed: int, count: int, per_history: int
) -> Iterator[tuple[History, random.Random, int]]:
    """Yield daemons' lives, written down, each with a number of faults to be done to it."""
    for start in range(0, count, per_history):
        history, rng = History(folder / f"{name}-{start}"), random.Random(f"{seed} {start}")
        history.folder.mkdir()
        history.write_down(rng)
        yield history, rng, min(per_history, count - start)
        shutil.rmtree(history.state, ignore_errors=True)
        history.log.unlink()


def losses(folder: Path, seed: int, count: int, per_history: int) -> Iterator[Run]:
    """Yield what each power loss was, and how the start after it went."""
    for history, rng, some in histories(folder, "power", seed, count, per_history):
        for cut, acknowledged in history.disks(history.cuts(rng, some)):
            yield Run(f"{cut}", 1, history.folder, history.recovered(acknowledged))


def flipped(folder: Path, seed: int, count: int, per_history: int) -> Iterator[Run]:
    """Yield what each flip was, and how the start after it went."""
    for history, rng, some in histories(folder, "flips", seed, count, per_history):
        for flip, acknowledged in flips(history, rng, some):
            yield Run(f"{flip}", 1, history.folder, history.recovered(acknowledged, CHECKS))


if __name__ == "__main__":
    sys.exit(main())
