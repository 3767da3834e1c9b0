"""What is asked of a source, alone and beside other requests."""

from syncd.model import WholeSource
from syncd.model.requests import all_of, part_of


def test_what_somebody_asks_for_again_waits_since_then():
    of_old = WholeSource(follow_up=3, waiting_since=1.0)
    assert all_of(of_old) == WholeSource()
    assert part_of(of_old, ("a.md",)).whole == WholeSource()
