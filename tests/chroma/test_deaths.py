from contextlib import ExitStack

from syncd.chroma.deaths import DEADLY, WITHIN_S, Deaths
from syncd.model import Target

BAD, GOOD = Target("db", "bad"), Target("db", "good")


def die(deaths, *targets):
    """Let the server die while all of them are queried, and live again; return the verdicts."""
    with ExitStack() as calls:
        for target in targets:
            calls.enter_context(deaths.during(target))
        verdicts = [deaths.died(target, "query") for target in (*targets, *targets)]
    deaths.lives_again()
    return set(verdicts)


def test_a_collection_during_whose_calls_the_server_dies_again_and_again_is_to_blame_even_if_some_succeed():
    deaths = Deaths()
    for _ in range(DEADLY - 1):
        assert die(deaths, BAD) == {False}
        deaths.succeeded(BAD, "query")
    assert die(deaths, BAD) == {True}
    deaths.forget(BAD)
    assert die(deaths, BAD) == {False}


def test_of_several_that_were_asked_those_that_answer_later_are_not_to_blame():
    deaths = Deaths()
    for _ in range(DEADLY - 1):
        assert die(deaths, BAD, GOOD) == {False}
        deaths.succeeded(GOOD, "query")
        deaths.succeeded(BAD, "count")
    assert die(deaths, GOOD) == {False}
    assert die(deaths, BAD) == {True}


def test_deaths_long_ago_do_not_count():
    now = 0.0
    deaths = Deaths(lambda: now)
    for _ in range(2 * DEADLY):
        assert die(deaths, BAD) == {False}
        now += WITHIN_S / (DEADLY - 1)
