"""Break things under the real program as often as you like, from seeds, and print the table of what came of it.

    python -m tests.faults [--losses 20] [--flips 20] [--kills 20] … [--ci] [--seed 0] [--at-once 4] [--record FILE]

`--losses` are power losses at any effect of a daemon's life, `--flips` bits flipped in any file of a state folder; after each a daemon
starts on what is left, and its collections are compared with those of an undisturbed one. Another daemon's life is written down
`--per-history` faults. All others are done to a daemon while it lives through a story, and its collections are compared, ids and all,
with what one held that lived through the same and was left alone. `--ci` asks for what is run every night.

`--at-once` lives go on side by side: they mostly wait. What has ended is added to the file of `--record`, and not done again when that
is given the next time; without anything to break its table is printed. Whatever is wrong is printed, and its folder is kept.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.truth import Difference
from tests.faults.units import LABELS, Run, Unit, Units

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
    """A unit's row of the table, or that of all of a kind: chunks by what was wrong with them in the end, and runs that ended well."""

    fault: str
    unit: str = ""
    runs: int = 0
    faults: int = 0
    wrong: tuple[int, ...] = Difference().counts
    advised: int = 0
    """Runs in which the daemon did not start, and said what to do."""
    healed: int = 0
    seconds: float = 0.0

    def count(self, run: Run) -> None:
        """Add a run."""
        self.runs += 1
        self.faults += run.faults
        self.healed += not run.recovery.wrong
        self.advised += run.recovery.advises
        if not run.recovery.advises:
            self.wrong = added(self.wrong, run.recovery.wrong.counts)

    def plus(self, other: "Row") -> "Row":
        """Return both together."""
        return Row(
            self.fault,
            "",
            self.runs + other.runs,
            self.faults + other.faults,
            added(self.wrong, other.wrong),
            self.advised + other.advised,
            self.healed + other.healed,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        numbers = (self.runs, self.faults, *self.wrong, self.advised, self.healed, round(self.seconds))
        return f"| {LABELS[self.fault]} | {' | '.join(f'{number:,}' for number in numbers)} |"


def added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


@dataclass
class Record:
    """The rows of units that have ended, in a file if there is one to be."""

    path: Path | None
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            for line in self.path.read_text().splitlines():
                said = json.loads(line)
                self.rows.append(Row(**{**said, "wrong": tuple(said["wrong"])}))

    def add(self, row: Row) -> None:
        """Add the row of a unit."""
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")

    def has(self, unit: Unit) -> bool:
        """Tell whether a unit has ended before."""
        return any(row.unit == unit.name for row in self.rows)

    def table(self) -> str:
        """Return the table of all rows."""
        of_all: dict[str, Row] = {}
        for row in self.rows:
            of_all[row.fault] = of_all.get(row.fault, Row(row.fault)).plus(row)
        return "\n".join([f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}", *map(str, of_all.values())])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in LABELS:
        options.add_argument(f"--{name.replace('_', '-')}", type=int, default=0)
    options.add_argument("--ci", action="store_true")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--per-history", type=int, default=20)
    options.add_argument("--at-once", type=int, default=4)
    options.add_argument("--record", type=Path)
    given = options.parse_args()
    counts = NIGHTLY if given.ci else {name: count for name in LABELS if (count := getattr(given, name))}
    record = Record(given.record)
    if not counts and not record.rows:
        options.error("say what is to be broken, and how often")
    folder = Path(tempfile.mkdtemp(prefix="syncd-faults-"))
    units = Units(folder, given.seed, given.per_history)
    wanted = [unit for name, count in counts.items() for unit in units.of(name, count)]
    failures = soak([unit for unit in wanted if not record.has(unit)], record, given.at_once)
    print(record.table())
    if failures or any(any(row.wrong) for row in record.rows):
        return 1
    shutil.rmtree(folder)
    return 0


def soak(units: Iterable[Unit], record: Record, at_once: int) -> int:
    """Go through units, and add them to the record; return how many came to no end, which is printed."""
    failures = 0
    with ThreadPoolExecutor(at_once) as pool:
        for ended in as_completed([pool.submit(soaked, unit) for unit in units]):
            if error := ended.exception():
                failures += 1
                print("".join(traceback.format_exception(error)), flush=True)
            else:
                record.add(ended.result())
    return failures


def soaked(unit: Unit) -> Row:
    """Go through a unit; print how each run ended, and keep the folder where one went wrong."""
    row, began = Row(unit.fault, unit.name), time.monotonic()
    for run in unit.run():
        row.count(run)
        outcome = "advised" if run.recovery.advises else run.recovery.wrong or "healed"
        print(f"{unit.name}: {run.what}, {run.faults} times: {outcome}", flush=True)
        if run.recovery.wrong and not run.recovery.advises:
            print(f"{unit.folder}: {run.recovery.said}", flush=True)
    row.seconds = time.monotonic() - began
    if not any(row.wrong):
        shutil.rmtree(unit.folder, ignore_errors=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
