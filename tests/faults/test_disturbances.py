"""Things are done to a daemon while it works, and it comes to hold what one held that was left alone, ids and all."""

import random
from contextlib import ExitStack, closing

import pytest

from tests.faults.disturbances import DISTURBANCES, compiled_clock
from tests.faults.disturbed import Disturbed
from tests.faults.story import Story
from tests.faults.truth import Difference
from tests.forked import Forks

DONE = ("kills", "parser_kills", "clock_jumps", "second_daemons")
"""What takes longer, or the right to mount a disk, is left to the soak."""


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lives")
    environment = compiled_clock(folder)
    with ExitStack() as stack:
        forks = stack.enter_context(closing(Forks(environment)))
        story = Story(folder / "story", "any", length=len(DONE) + 1).find_out()
        life = Disturbed(folder / "disturbed", story, forks, environment)
        stack.callback(life.end)
        yield life.start()


@pytest.mark.parametrize("name", DONE)
def test_whatever_is_done_to_a_daemon_it_comes_to_hold_what_an_undisturbed_one_does(life, name):
    life.go_on()
    assert DISTURBANCES[name].fault(life, random.Random(name)) > 0
    recovery = life.compare()
    assert recovery.wrong == Difference(), recovery


def test_a_daemon_that_holds_something_else_is_caught(life):
    life.go_on()
    (life.notes / "1.md").write_text("# Of one only\n\nThe other daemon has never seen this.\n")
    life.limit_s = 3.0
    assert life.compare().wrong
