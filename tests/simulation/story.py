"""A seeded story: sources change, things are in trouble, the daemon crashes at any step, and in the end every collection must be right.

A story is a list of events, so that one that ends badly can be made shorter: `shrunk` leaves out whatever the failure does not need.
"""

import gc
import logging
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import anyio
import structlog

from syncd.index import collection_watch
from syncd.pipeline import embedding_stage
from syncd.runtime.wakeup import Wakeup
from syncd.store import Store
from syncd.sync import syncer as syncers
from syncd.sync import triggers
from tests.simulation.disk import in_memory, new_database
from tests.simulation.life import Life
from tests.simulation.virtual import Clock, Crash, StuckError, VirtualLoop, virtual_time
from tests.simulation.world import DATABASE, TROUBLES, Journal, World

HOURS = 40.0
EVENTS = 30
KEYS = 6
LONGEST_TROUBLE_S = 1800.0
STEPS_TO_CRASH, STEPS_OF_A_WRITE = 3000, 30
QUIET_S = 6 * 3600.0
"""After the last event everything must be right within so long: twice the longest pause between two tries, and some hours more."""
LOOK_S = 60.0
IDLE_S = 900.0
"""Actors that only look whether there is anything do so this seldom: their looks cost the simulation most."""


@dataclass(frozen=True)
class Event:
    """What happens at a time. `what`: a change of a source, a crash so many steps later, a trouble for so many seconds, a lost collection."""

    at_s: float
    what: str
    source: int = 0
    key: str = ""
    text: str | None = None
    amount: float = 0.0


def events(seed: int, hours: float = HOURS, count: int = EVENTS) -> list[Event]:
    """Return the story of a seed: about `count` times something happens."""
    rng, found = random.Random(seed), list[Event]()
    for number in range(count):
        at_s, source = rng.random() * hours * 3600, rng.randrange(2)
        dice = rng.random()
        if dice < 0.6:
            for _ in range(rng.randrange(1, 6)):
                lines = "\n".join(f"line {rng.randrange(40)}" for _ in range(rng.randrange(1, 5)))
                text = None if rng.random() < 0.2 else f"{lines}\nversion {number}"
                found.append(Event(at_s, "change", source, f"{rng.randrange(KEYS)}.md", text))
            if rng.random() < 0.4:
                found.append(Event(at_s, "crash", amount=float(int(STEPS_TO_CRASH ** rng.random()))))
            elif rng.random() < 0.5:
                found.append(Event(at_s, "crash in a write", amount=float(rng.randrange(STEPS_OF_A_WRITE))))
        elif dice < 0.95:
            found.append(Event(at_s, rng.choice(TROUBLES), amount=LONGEST_TROUBLE_S * rng.random() ** 2))
        else:
            found.append(Event(at_s, "lost", source))
    return sorted(found, key=lambda event: event.at_s)


class Simulation:
    """One story, lived through from its first event to the end of all waiting."""

    def __init__(self, seed: int, story: list[Event], *, is_watched: bool = True) -> None:
        self.clock = Clock()
        self.crashes = self.steps = 0
        self.wrong = "it did not end"
        """What is not as it must be, as of the last look; '' if nothing."""
        self._seed = seed
        self._rng = random.Random(seed)
        self._world = World(self.clock, self._rng, [Journal("one"), Journal("two")])
        self._story = story
        self._is_watched = is_watched
        self._next = 0
        self._loop: VirtualLoop | None = None
        self._changed: dict[str, Wakeup] = {}

    def run(self) -> str:
        """Live through it; return what was wrong in the end, '' if nothing."""
        state = Path(tempfile.mkdtemp(prefix="syncd-simulated-"))
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        raw = new_database()
        try:
            with virtual_time(self.clock, self._rng), in_memory(raw, self._rng), seldom():
                while self._lives_to_crash(state):
                    self.crashes += 1
                self._loop = None
                gc.collect()
        except StuckError as error:
            return str(error)
        finally:
            raw.close()
            shutil.rmtree(state)
        return self.wrong

    @property
    def hours(self) -> float:
        """How long it took, on the virtual clock."""
        return self.clock.now / 3600

    def _lives_to_crash(self, state: Path) -> bool:
        self._loop = loop = VirtualLoop(self.clock, self._rng)
        self._changed = {journal.name: Wakeup() for journal in self._world.journals}
        try:
            loop.run_until_complete(Life(self._world, state, self._changed, self._is_watched).live(self._tell))
        except Crash:
            return True
        finally:
            self.steps += loop.steps
            loop.bury()
        return False

    async def _tell(self, store: Store) -> None:
        while self._next < len(self._story):
            event = self._story[self._next]
            await anyio.sleep(max(0.0, event.at_s - self.clock.now))
            self._next += 1
            self._happen(event)
        await self._become_quiet(store)

    def _happen(self, event: Event) -> None:
        assert self._loop is not None
        # What comes after an event does not depend on those before it by chance as well, so that these can be left out.
        self._rng.seed(f"{self._seed} {event.at_s}")
        journal = self._world.journals[event.source]
        match event.what:
            case "change":
                journal.entries.append((event.key, event.text))
                self._changed[journal.name].ring()
            case "crash":
                self._loop.crash_in = int(event.amount)
            case "crash in a write":
                self._world.crash_in_write = int(event.amount)
            case "lost":
                self._world.target.databases[DATABASE].pop(journal.name, None)
            case trouble:
                self._world.until[trouble] = self.clock.now + event.amount

    async def _become_quiet(self, store: Store) -> None:
        """Wait until every collection is right and nothing is left to do, for as long as that may take."""
        await anyio.sleep(max(0.0, max(self._world.until.values(), default=0.0) - self.clock.now))
        deadline = self.clock.now + QUIET_S
        while self.clock.now < deadline:
            await anyio.sleep(LOOK_S)
            self.wrong = self._world.wrong() or await left(store)
            if not self.wrong:
                return


async def left(store: Store) -> str:
    """Return what the daemon has still to do, '' if nothing."""
    counted = {
        "invocations": "SELECT count(*) FROM invocations WHERE state IN ('pending', 'processing')",
        "entries in the outbox": "SELECT count(*) FROM outbox",
        "refills": "SELECT count(*) FROM collections WHERE rebuilding IS NOT NULL",
    }
    for what, statement in counted.items():
        (number,) = await store.database.read(lambda c, statement=statement: c.execute(statement).fetchone())
        if number:
            return f"{number} {what} left"
    return ""


@contextmanager
def seldom() -> Iterator[None]:
    """Let actors look seldom whether there is anything to do, where nobody waits for it."""
    with ExitStack() as stack:
        for module, name in (
            (collection_watch, "LOOK_EVERY_S"),
            (embedding_stage, "SWEEP_S"),
            (syncers, "IDLE_S"),
            (triggers, "CHECK_EVERY_S"),
        ):
            stack.enter_context(patch.object(module, name, IDLE_S))
        yield


def shrunk(story: list[Event], fails: Callable[[list[Event]], bool]) -> list[Event]:
    """Return a shorter story that still fails, of which no event can be left out."""
    size = len(story) // 2
    while size:
        start = 0
        while start < len(story):
            shorter = story[:start] + story[start + size :]
            if fails(shorter):
                story = shorter
            else:
                start += size
        size //= 2
    return story
