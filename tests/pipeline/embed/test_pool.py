"""How many requests a server may have at once follows from its answers."""

from syncd.pipeline.embed.pool import Flow
from syncd.pipeline.embed.servers import Server


class Clock:
    """Tells a server's flow of answers to requests, each of which begins when the one before has ended."""

    def __init__(self, in_flight=8):
        self.flow = Flow(Server("http://a", in_flight=in_flight))
        self.now = 0.0
        self.answered(1.0)

    def answered(self, took_s, requests=1, share=1.0, asked=None):
        for _ in range(requests):
            began, self.now = self.now, self.now + took_s
            self.flow.asked = asked or int(self.flow.limit)
            self.flow.answered(began, self.now, 1, share)
        return self.flow.limit


def test_each_round_of_answers_about_as_fast_as_the_fastest_allows_one_more_up_to_the_limit():
    clock = Clock()
    before = clock.flow.limit
    assert before + 0.7 < clock.answered(1.2, requests=2) <= before + 1
    assert clock.answered(1.2, requests=100) == 8


def test_answers_that_take_twice_as_long_change_nothing_and_much_slower_ones_allow_fewer():
    clock = Clock()
    before = clock.flow.limit
    assert clock.answered(2.0, requests=5) == before
    assert clock.answered(5.0) == 0.75 * before
    assert clock.answered(5.0, requests=50) >= 1


def test_a_server_that_has_become_slower_for_good_is_not_held_back_for_ever():
    clock = Clock()
    clock.answered(5.0, requests=300)
    assert clock.flow.limit == 8


def test_requests_that_fail_together_halve_it_once():
    clock = Clock()
    clock.answered(1.0, requests=100)
    began = clock.now
    for after_s in (1.0, 1.5, 2.0):
        clock.flow.decrease(began, began + after_s, 0.5)
    assert clock.flow.limit == 4
    clock.flow.decrease(began + 3, began + 4, 0.5)
    assert clock.flow.limit == 2


def test_what_was_asked_in_small_or_one_after_the_other_is_no_reason_for_more():
    clock = Clock()
    before = clock.flow.limit
    clock.answered(1.0, requests=50, share=0.2)
    clock.answered(1.0, requests=50, asked=1)
    assert clock.flow.limit == before
