"""Weighing two readings of a page against its plain text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.pipeline.parse.pdf_choice import agreement, better, with_headings

_PLAIN = "Head\none two three four five six\nseven eight nine ten"


def test_markup_does_not_count_against_a_reading() -> None:
    assert (
        agreement("# Head\n\none **two** [three](https://x.org/y) four five six\n\n- seven eight\n- nine ten", _PLAIN)
        == 1
    )


def test_lost_words_and_shuffled_order_count_against_a_reading() -> None:
    whole = agreement("Head one two three four five six seven eight nine ten", _PLAIN)
    assert whole > agreement("Head seven eight nine ten one two three four five six", _PLAIN)
    assert whole > agreement("Head one two three", _PLAIN)


def test_the_second_reading_wins_only_when_it_agrees_more_and_takes_the_headings_of_the_first() -> None:
    first = "## Head\n\nseven eight nine ten one two three four five six"
    second = "Head\n\n# one two three four five six\n\n- seven eight nine ten"
    assert better(first, second, _PLAIN) == "## Head\n\none two three four five six\n\n- seven eight nine ten"
    assert better(second, second, _PLAIN) is second


def test_headings_are_not_looked_for_in_code_and_tables() -> None:
    markdown = "```\n# a\n```\n| # a |"
    assert with_headings(markdown, "## a") == markdown


@given(st.text(), st.text())
def test_agreement_is_a_share_and_whole_with_itself(one: str, other: str) -> None:
    assert 0 <= agreement(one, other) <= 1
    assert agreement(other, other) >= agreement(one, other) or "](" in other
