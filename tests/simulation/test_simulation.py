"""The real syncer, triggers, stages and index live through a thousand hours of trouble in virtual time, and crash at any step."""

import pytest

from tests.simulation.mistakes import MISTAKES
from tests.simulation.story import Event, Simulation, events, shrunk

HOURS_IN_CI = 1000.0
SEEDS_TO_A_MISTAKE = 100


def test_after_a_thousand_hours_of_trouble_and_crashes_every_collection_is_what_its_source_is():
    seed, hours, crashes = 0, 0.0, 0
    while hours < HOURS_IN_CI:
        simulation = Simulation(seed, events(seed))
        assert simulation.run() == "", f"python -m tests.simulation --first {seed} --seeds 1"
        seed, hours, crashes = seed + 1, hours + simulation.hours, crashes + simulation.crashes
    assert crashes > 100


def test_a_story_is_the_same_every_time():
    first, second = Simulation(3, events(3)), Simulation(3, events(3))
    assert (first.run(), first.steps, first.clock.now) == (second.run(), second.steps, second.clock.now)


def ends_badly(seed: int, story: list[Event]) -> bool:
    """Whether it does without the watch over collections, which would heal what the order of effects is there to prevent."""
    return bool(Simulation(seed, story, is_watched=False).run())


def caught(mistake: str) -> tuple[int, list[Event]]:
    """Return the first short story that ends badly under a mistake."""
    stories = ((seed, events(seed, hours=1.0, count=6)) for seed in range(SEEDS_TO_A_MISTAKE))
    with MISTAKES[mistake]():
        return next((seed, story) for seed, story in stories if ends_badly(seed, story))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_order_of_effects_is_caught(mistake):
    seed, story = caught(mistake)
    assert not ends_badly(seed, story)


def test_a_story_that_ends_badly_is_told_short():
    seed, story = caught("saves-the-cursor-first")
    with MISTAKES["saves-the-cursor-first"]():
        told = shrunk(story, lambda shorter: ends_badly(seed, shorter))
    assert len(told) <= 8
    assert len(told) < len(story)
