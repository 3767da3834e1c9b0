"""What the soak consists of: daemons' lives, and histories with the faults that are done to what they leave. Each goes by its own seed."""

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults.disturbances import DISTURBANCES, Disturbance
from tests.faults.flips import CHECKS, flips
from tests.faults.kept import Recovery
from tests.faults.power import History
from tests.faults.story import Story

LIVES_PER_STORY = 10
LABELS = {"losses": "power loss", "flips": "flipped bit"} | {name: each.label for name, each in DISTURBANCES.items()}


@dataclass(frozen=True)
class Run:
    """What was done, how often, and what came of it."""

    what: str
    faults: int
    recovery: Recovery


@dataclass(frozen=True)
class Unit:
    """A few faults, in a folder of their own, by a seed that is all of `name`. `run` yields how each ended."""

    fault: str
    name: str
    folder: Path
    run: Callable[[], Iterator[Run]]


@dataclass
class Units:
    """Makes units."""

    folder: Path
    seed: int
    per_history: int
    _stories: dict[object, Story] = field(default_factory=dict)
    _telling: threading.Lock = field(default_factory=threading.Lock)

    def of(self, fault: str, count: int) -> Iterator[Unit]:
        """Yield units with so many faults of a kind. The same count and more begin with the same units."""
        number = 0
        while count > 0:
            name = f"{fault} {self.seed} {number}"
            folder = self.folder / name.replace(" ", "-")
            if fault in DISTURBANCES:
                disturbance = DISTURBANCES[fault]
                size = disturbance.per_run * disturbance.length
                run = partial(self._live, disturbance, folder, random.Random(name), number, min(count, size))
            else:
                size = self.per_history
                run = partial(self._recover, fault, folder, random.Random(name), min(count, size))
            yield Unit(fault, name, folder, run)
            count -= size
            number += 1

    def _live(
        self, disturbance: Disturbance, folder: Path, rng: random.Random, number: int, count: int
    ) -> Iterator[Run]:
        """Yield what was done to a daemon while it worked, and what it held then, until that was wrong."""
        with ExitStack() as stack:
            story = self._story(disturbance, number // LIVES_PER_STORY)
            life = disturbance.life(folder, story, stack).start()
            done = 0
            # Where nothing was there to be killed, it ends with fewer faults.
            while done < count and not life.is_over:
                life.go_on()
                faults = sum(disturbance.fault(life, rng) for _ in range(min(disturbance.per_run, count - done)))
                recovery = life.compare()
                done += faults
                yield Run(f"{disturbance.label}, change {life.number}", faults, recovery)
                if recovery.wrong:
                    return

    def _story(self, disturbance: Disturbance, number: int) -> Story:
        key = (*disturbance.kind, number)
        with self._telling:
            if key not in self._stories:
                folder = self.folder / f"story-{len(self._stories)}"
                self._stories[key] = disturbance.story(folder, f"{self.seed} {number}")
            return self._stories[key]

    def _recover(self, fault: str, folder: Path, rng: random.Random, count: int) -> Iterator[Run]:
        """Yield what was done to what a daemon's life left at some moment, and how the start after it went."""
        folder.mkdir(parents=True)
        history = History(folder)
        history.write_down(rng)
        if fault == "losses":
            done, checks = history.disks(history.cuts(rng, count)), ""
        else:
            done, checks = flips(history, rng, count), CHECKS
        for what, acknowledged in done:
            os.truncate(history.state.parent / "log", 0)
            recovery = history.recovered(acknowledged, checks)
            yield Run(str(what), 1, recovery)
            if recovery.wrong and not recovery.advises:
                name = f"wrong-{abs(hash(what))}"
                ignore = shutil.ignore_patterns("*.sock")
                shutil.copytree(history.state.parent, folder / name, symlinks=True, ignore=ignore)
