"""Break things under the real program as often as you like, from seeds, and print the table of what came of it.

    python -m tests.faults [--losses 20] [--flips 20] [--seed 0] [--per-history 20]

`--losses` are power losses at any effect of a daemon's life, `--flips` bits flipped in any file of a state folder; after each a daemon
starts on what is left, and its collections are compared with those of an undisturbed one: fifteen to sixty seconds. Another daemon's
life is written down every so many. Whatever is wrong is printed, and the state folder as it then was is kept.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.flips import CHECKS, flips
from tests.faults.kept import Kept, Recovery
from tests.faults.power import History
from tests.faults.truth import Difference

HEADINGS = ("fault", "runs", "lost", "doubled", "stale", "damaged", "unreadable", "advised", "healed", "seconds")


@dataclass
class Row:
    """One row of the table: chunks by what was wrong with them in the end, and runs that ended well."""

    fault: str
    runs: int = 0
    wrong: Difference = field(default_factory=Difference)
    advised: int = 0
    """Runs in which the daemon did not start, and said what to do."""
    healed: int = 0
    seconds: float = 0.0

    def count(self, recovery: Recovery) -> None:
        """Add a run."""
        self.runs += 1
        self.healed += not recovery.wrong
        self.advised += recovery.advises
        if not recovery.advises:
            self.wrong = self.wrong.plus(recovery.wrong)

    def __str__(self) -> str:
        cells = (self.fault, self.runs, *self.wrong.counts, self.advised, self.healed, round(self.seconds))
        return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--losses", type=int, default=20)
    options.add_argument("--flips", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--per-history", type=int, default=20)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="syncd-faults-"))
    print(f"breaking things in {folder}", flush=True)
    table = [
        soaked(Row("power loss"), losses(folder, given.seed, given.losses, given.per_history)),
        soaked(Row("flipped bit"), flipped(folder, given.seed, given.flips, given.per_history)),
    ]
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    print("\n".join(map(str, table)))
    return any(row.wrong for row in table)


def soaked(row: Row, recoveries: Iterator[tuple[str, Kept, Recovery]]) -> Row:
    """Go through all of them; print how each ended, and keep what went wrong."""
    began = time.monotonic()
    for what, kept, recovery in recoveries:
        row.count(recovery)
        outcome = "advised" if recovery.advises else recovery.wrong or "healed"
        print(f"{what}: {outcome}", flush=True)
        log = kept.folder / "daemon" / "log"
        if recovery.wrong and not recovery.advises:
            shutil.move(kept.state, kept.folder / f"wrong-{row.runs}")
            print(f"{kept.folder / f'wrong-{row.runs}'}: {recovery.said}\n{log.read_text()[-2000:]}", flush=True)
        log.unlink(missing_ok=True)
    row.seconds = time.monotonic() - began
    return row


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


def losses(folder: Path, seed: int, count: int, per_history: int) -> Iterator[tuple[str, Kept, Recovery]]:
    """Yield what each power loss was, and how the start after it went."""
    for history, rng, some in histories(folder, "power", seed, count, per_history):
        for cut, acknowledged in history.disks(history.cuts(rng, some)):
            yield f"{cut}", history, history.recovered(acknowledged)


def flipped(folder: Path, seed: int, count: int, per_history: int) -> Iterator[tuple[str, Kept, Recovery]]:
    """Yield what each flip was, and how the start after it went."""
    for history, rng, some in histories(folder, "flips", seed, count, per_history):
        for flip, acknowledged in flips(history, rng, some):
            yield f"{flip}", history, history.recovered(acknowledged, CHECKS)


if __name__ == "__main__":
    sys.exit(main())
