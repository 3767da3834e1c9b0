"""Live through as many seeded stories as you like in virtual time; print those that end badly, as short as they can be made.

    python -m tests.simulation [--seeds 1000] [--first 0] [--hours 40] [--mistake saves-the-cursor-first]

With a mistake the collection watch does not run: it would heal what the order of effects is there to prevent.

A story takes about a second of CPU time. Sets are ordered by hashes: a seed means the same story only under the same PYTHONHASHSEED,
which is set to 0 where it is not set.
"""

import argparse
import os
import sys
from contextlib import nullcontext

from tests.simulation.mistakes import MISTAKES
from tests.simulation.story import HOURS, Event, Simulation, events, shrunk


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=1000)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--hours", type=float, default=HOURS, help="of each story")
    options.add_argument("--mistake", choices=MISTAKES)
    given = options.parse_args()
    crashes, hours, wrong = 0, 0.0, 0
    with MISTAKES[given.mistake]() if given.mistake else nullcontext():
        for seed in range(given.first, given.first + given.seeds):
            story = events(seed, given.hours)
            simulation = Simulation(seed, story, is_watched=given.mistake is None)
            found = simulation.run()
            crashes, hours, wrong = crashes + simulation.crashes, hours + simulation.hours, wrong + bool(found)
            if found:
                tell(seed, found, story, is_watched=given.mistake is None)
    print(f"{given.seeds} stories, {hours:.0f} simulated hours, {crashes} crashes; {wrong} ended badly")
    return wrong > 0


def tell(seed: int, found: str, story: list[Event], *, is_watched: bool) -> None:
    print(f"seed {seed}: {found}; as much of it is needed for that:")
    for event in shrunk(story, lambda shorter: bool(Simulation(seed, shorter, is_watched=is_watched).run())):
        print(f"    {event}")
    sys.stdout.flush()


if __name__ == "__main__":
    if "PYTHONHASHSEED" not in os.environ:
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
