"""What strangers write into headers is a plain value or nothing, never an error."""

import math
import time
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.runtime.headers import bounded, http_date, number, retry_after_s, storable

ANYTHING = st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape")) | st.text(
    st.characters(exclude_categories=[]), max_size=60
)
ODD_WAITS = ["²", "٣", "9" * 5000, "-1", "1e400", "nan", "inf", "", " ", "\udce9", "Thu, 01 Jan 0001 00:00:00 GMT"]
ODD_DATES = [
    "Mon, 01 Jan 0001 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Fri, 31 Dec 99999 23:59:59 GMT",
    "Mon, 01 Jan 2024 00:00:00 +999999999999",
    "Mon, 32 Jan 2024 00:00:00 GMT",
    f"Mon, {'9' * 5000} Jan 2024 00:00:00 GMT",
    "\udce9",
]


@settings(deadline=None)
@given(ANYTHING)
def test_any_text_is_a_wait_within_bounds_or_none(text: str):
    wait_s = retry_after_s(text, 60.0)
    assert wait_s is None or 0.0 <= wait_s <= 60.0


@settings(deadline=None)
@given(ANYTHING)
def test_any_text_is_a_date_that_can_be_reckoned_with_or_none(text: str):
    moment = http_date(text)
    assert moment is None or moment.timestamp() >= 0


@settings(deadline=None)
@given(ANYTHING)
def test_any_text_is_a_finite_number_or_none(text: str):
    found = number(text)
    assert found is None or math.isfinite(found)


@settings(deadline=None)
@given(ANYTHING)
def test_any_text_can_be_stored(text: str):
    storable(text).encode()


@pytest.mark.parametrize("text", ODD_WAITS)
def test_a_wait_that_is_none_is_ignored_and_a_huge_one_is_cut(text: str):
    assert retry_after_s(text) == (300.0 if text.startswith("9") else None)


@pytest.mark.parametrize("text", ODD_DATES)
def test_a_date_that_cannot_be_is_none(text: str):
    assert http_date(text) is None


def test_waits_are_read_as_seconds_and_as_dates():
    assert retry_after_s(" 120 ") == 120.0
    assert retry_after_s("1.5") == 1.5
    assert retry_after_s(formatdate(time.time() - 60, usegmt=True)) == 0.0
    later_s = retry_after_s(formatdate(time.time() + 200, usegmt=True))
    assert later_s is not None
    assert 100 < later_s <= 200
    assert retry_after_s(formatdate(time.time() + 10**7, usegmt=True)) == 300.0
    assert retry_after_s(None) is None


@pytest.mark.parametrize(
    ("value", "kept"),
    [(math.nan, 0.0), (math.inf, 9.0), (-1.0, 0.0), (4.0, 4.0), (10**400, 9.0)],
    ids=["nan", "inf", "negative", "fine", "huge"],
)
def test_a_number_is_brought_within_bounds(value: float, kept: float):
    assert bounded(value, 9.0) == kept
