"""The real syncer, triggers, stages and index live through a thousand hours of trouble in virtual time, and crash at any step."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from tests.simulation.mistakes import MISTAKES
from tests.simulation.story import Event, Simulation, events, shrunk

HOURS_IN_CI = 1000.0
SEEDS_TO_A_MISTAKE = 100


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own: lives that crashed leave tasks behind, among which all else would crawl."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def lived_through() -> int:
    """Live through stories until they took a thousand hours; return how often they crashed."""
    seed, hours, crashes = 0, 0.0, 0
    while hours < HOURS_IN_CI:
        simulation = Simulation(seed, events(seed))
        assert simulation.run() == "", f"python -m tests.simulation --first {seed} --seeds 1"
        seed, hours, crashes = seed + 1, hours + simulation.hours, crashes + simulation.crashes
    return crashes


def lived_twice() -> list[tuple[str, int, float]]:
    """Return how one story went, twice."""
    lives = Simulation(3, events(3)), Simulation(3, events(3))
    return [(life.run(), life.steps, life.clock.now) for life in lives]


def ends_badly(seed: int, story: list[Event]) -> bool:
    """Whether it does without the watch over collections, which would heal what the order of effects is there to prevent."""
    return bool(Simulation(seed, story, is_watched=False).run())


def caught(mistake: str) -> tuple[int, list[Event]]:
    """Return the first short story that ends badly under a mistake."""
    stories = ((seed, events(seed, hours=1.0, count=6)) for seed in range(SEEDS_TO_A_MISTAKE))
    with MISTAKES[mistake]():
        return next((seed, story) for seed, story in stories if ends_badly(seed, story))


def caught_and_right(mistake: str) -> tuple[int, bool]:
    """Return how long the story is by which a mistake is caught, and whether it ends well without it."""
    seed, story = caught(mistake)
    return len(story), not ends_badly(seed, story)


def told_short(mistake: str) -> tuple[int, int]:
    """Return how long the story is by which a mistake is caught, and what is told of it."""
    seed, story = caught(mistake)
    with MISTAKES[mistake]():
        return len(story), len(shrunk(story, lambda shorter: ends_badly(seed, shorter)))


def test_after_a_thousand_hours_of_trouble_and_crashes_every_collection_is_what_its_source_is():
    assert apart(lived_through) > 100


def test_a_story_is_the_same_every_time():
    first, second = apart(lived_twice)
    assert first == second


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_order_of_effects_is_caught(mistake):
    length, ends_well = apart(caught_and_right, mistake)
    assert length > 0
    assert ends_well


def test_a_story_that_ends_badly_is_told_short():
    length, told = apart(told_short, "saves-the-cursor-first")
    assert told <= 8
    assert told < length
