"""Times as people read them."""

import pytest

from syncd.cli.output import duration_words


@pytest.mark.parametrize(
    ("length_s", "words"),
    [(0, "0 s"), (0.9, "0 s"), (119, "119 s"), (120, "2 min"), (808, "13 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_time_is_told_in_the_largest_unit_that_says_enough(length_s, words):
    assert duration_words(length_s) == words
