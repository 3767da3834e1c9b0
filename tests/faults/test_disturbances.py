"""Things are done to a daemon while it works, and it comes to hold what one holds that was left alone, ids and all."""

import random
from contextlib import ExitStack

import pytest

from tests.faults.disturbances import DISTURBANCES
from tests.faults.truth import Difference

DONE = ("kills", "parser_kills", "clock_jumps", "second_daemons")
"""What takes longer, or the right to mount a disk, is left to the soak."""


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    with ExitStack() as stack:
        twins = DISTURBANCES["clock_jumps"].twins(tmp_path_factory.mktemp("twins") / "both", stack)
        twins.start()
        yield twins


@pytest.mark.parametrize("name", DONE)
def test_whatever_is_done_to_a_daemon_it_comes_to_hold_what_an_undisturbed_one_does(twins, name):
    rng = random.Random(name)
    twins.change(rng, whole=False)
    assert DISTURBANCES[name].fault(twins, rng) > 0
    recovery = twins.compare()
    assert recovery.wrong == Difference(), recovery


def test_twins_that_differ_are_caught(twins):
    twins.change(random.Random(0), whole=False)
    (twins.notes / "1.md").write_text("# Of one only\n\nThe other daemon has never seen this.\n")
    twins.limit_s = 3.0
    assert twins.compare().wrong
