"""A daemon whose power fails: what it does is written down once, and any prefix of that, less what was not synced, is a disk to start from."""

import copy
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults.kept import Kept
from tests.faults.power_disk import MARK, SYNCED, Disk, Loss, Record, compiled, mark, records
from tests.faults.truth import killed

STOPPED = "stopped"
SOON = 40
"""Half of the losses come within so many effects of an acknowledgement."""


@dataclass(frozen=True)
class Cut:
    """A power loss: behind so many records, with so much of the rest on the disk."""

    behind: int
    loss: Loss
    seed: int


@dataclass
class History(Kept):
    """What one daemon did, effect by effect."""

    begin: Disk = field(init=False)
    marks: list[int] = field(default_factory=list)
    """Behind which records something was acknowledged."""
    effects: int = 0

    @property
    def log(self) -> Path:
        """Where its effects are written down."""
        return self.folder / "trace"

    def write_down(self, rng: random.Random) -> None:
        """Let a daemon live through everything, and write down what it does."""
        self.state.mkdir(parents=True, mode=0o700)
        self.begin = Disk(self.state)
        trace = {"LD_PRELOAD": compiled(self.folder), "POWER_ROOT": self.state, "POWER_LOG": self.log}
        daemon = self.daemon("tests.faults.traced", **{name: str(value) for name, value in trace.items()})
        try:
            self.live(daemon, rng, partial(mark, self.log), partial(mark, self.log, STOPPED))
        finally:
            killed(daemon)
        for number, record in enumerate(records(self.log.read_bytes()), 1):
            self.effects = number
            if record.kind == MARK:
                self.marks.append(number)

    def cuts(self, rng: random.Random, count: int) -> list[Cut]:
        """Return power losses in the order of their moments: any, and some soon after an acknowledgement."""
        found: list[Cut] = []
        for number in range(count):
            near = rng.choice(self.marks) + rng.randrange(SOON) if number % 2 else rng.randrange(1, self.effects + 1)
            found.append(Cut(min(near, self.effects), list(Loss)[number % len(Loss)], rng.randrange(1 << 30)))
        return sorted(found, key=lambda cut: cut.behind)

    def disks(
        self, cuts: list[Cut], is_synced: Callable[[Record], bool] = lambda _: True
    ) -> Iterator[tuple[Cut, list[str]]]:
        """Make the state folder as each power loss leaves it, and yield the loss and what was acknowledged before it.

        A sync that is not `is_synced` does nothing, as on a disk that only says so.
        """
        waiting = iter(cuts)
        cut = next(waiting, None)
        for number, disk in enumerate(self.moments(is_synced), 1):
            while cut and cut.behind == number:
                shutil.rmtree(self.state, ignore_errors=True)
                self.state.mkdir(mode=0o700)
                disk.after(cut.loss, random.Random(cut.seed), self.state)
                yield cut, [name for name in disk.marks if name != STOPPED]
                cut = next(waiting, None)

    def moments(self, is_synced: Callable[[Record], bool] = lambda _: True) -> Iterator[Disk]:
        """Yield the one disk after each effect."""
        disk = copy.deepcopy(self.begin)
        for record in records(self.log.read_bytes()):
            if record.kind != SYNCED or is_synced(record):
                disk.follow(record)
            yield disk

    def unseen(self) -> list[str]:
        """Return the files that are not what was written down of them; to be called before any disk is made."""
        *_, disk = self.moments()
        written = disk.files()
        there = {
            str(path.relative_to(self.state)): path.read_bytes() for path in self.state.rglob("*") if path.is_file()
        }
        return sorted(name for name in {*written, *there} if written.get(name) != there.get(name))
