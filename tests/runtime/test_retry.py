import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import PermanentError, RetryableError, TooLargeError
from syncd.runtime.retry import Backoff, in_halves, retrying


def failing(times, error):
    calls = []

    async def call():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return call


class Sleeps(list):
    async def __call__(self, delay_s):
        self.append(delay_s)


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_wait_stays_between_zero_and_the_cap(failures, chance):
    assert 0 <= Backoff(cap_s=60, random=lambda: chance).delay_s(failures) <= 60


def test_the_ceiling_doubles_up_to_the_cap():
    backoff = Backoff(base_s=1, cap_s=10, random=lambda: 1.0)
    assert [backoff.delay_s(n) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


async def test_a_retryable_error_is_tried_again_after_the_backoff():
    sleeps = Sleeps()
    backoff = Backoff(base_s=1, random=lambda: 0.5)
    assert await retrying(failing(3, RetryableError("busy")), backoff, sleep=sleeps) == 4
    assert sleeps == [0.5, 1, 2]


async def test_the_other_sides_wish_is_honoured():
    sleeps = Sleeps()
    await retrying(failing(1, RetryableError("busy", retry_after_s=30)), Backoff(base_s=1), sleep=sleeps)
    assert sleeps == [30]


async def test_it_stops_after_so_many_attempts():
    sleeps = Sleeps()
    with pytest.raises(RetryableError):
        await retrying(failing(9, RetryableError("busy")), Backoff(random=lambda: 0), attempts=3, sleep=sleeps)
    assert len(sleeps) == 2


async def test_it_does_not_wait_past_its_deadline():
    sleeps, call = Sleeps(), failing(9, RetryableError("come back tomorrow", retry_after_s=86_400))
    with pytest.raises(RetryableError, match="come back tomorrow"):
        await retrying(call, deadline_s=60, sleep=sleeps)
    assert sleeps == []


async def test_a_permanent_error_is_raised_at_once():
    sleeps = Sleeps()
    with pytest.raises(PermanentError):
        await retrying(failing(1, PermanentError("no")), sleep=sleeps)
    assert sleeps == []


@pytest.mark.parametrize("most", [1, 2, 3, 10])
async def test_what_is_too_large_is_sent_in_halves_in_its_order(most):
    sent = []

    async def send(some: slice) -> None:
        if some.stop - some.start > most:
            raise TooLargeError("send less")
        sent.extend(range(10)[some])

    await in_halves(send, slice(0, 10))
    assert sent == list(range(10))


async def test_a_single_item_that_is_too_large_is_an_error():
    sent = []

    async def send(some: slice) -> None:
        if 5 in range(10)[some]:
            raise TooLargeError("send less")
        sent.extend(range(10)[some])

    with pytest.raises(TooLargeError):
        await in_halves(send, slice(0, 10))
    assert sent == list(range(5))
