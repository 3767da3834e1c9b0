"""How fast a run moves and how long it takes still."""

import pytest

from syncd.model import Counts
from syncd.store.prepared import Backlog
from syncd.sync import pace
from syncd.sync.pace import PaceMeter


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_goes_by_the_tokens_that_are_left(clock):
    meter = PaceMeter()
    meter.noted(Counts(), Backlog())
    clock[0] += 10.0
    meter.noted(Counts(tokens=1000), Backlog(documents=4, embedded=1, wanted_tokens=2000, tokens=1000))
    now = meter.read(Counts(tokens=1000), None)
    assert (now.tokens_per_s, now.eta_s) == (200.0, 10.0)
    assert now.stages == {"prepared": 3, "embedded": 1, "tokens_left": 2000, "estimated": False}


def test_tokens_that_nobody_can_count_are_estimated_by_what_a_token_has_taken_so_far_and_said_to_be(clock):
    meter = PaceMeter()
    meter.noted(
        Counts(), Backlog(documents=4, wanted_tokens=100, uncounted_bytes=8000, tokens=1000, embedded_bytes=4000)
    )
    assert meter.read(Counts(), None).stages == {"prepared": 4, "embedded": 0, "tokens_left": 2100, "estimated": True}


def test_what_the_source_has_yet_to_yield_counts_in_proportion(clock):
    meter = PaceMeter()
    meter.expect(20)
    meter.noted(Counts(), Backlog())
    clock[0] += 10.0
    meter.noted(Counts(), Backlog(documents=10, wanted_tokens=1000, tokens=1000))
    assert meter.read(Counts(), None).eta_s == (1000 + 10 * 200) / 100


def test_an_outage_is_forgotten_within_minutes_and_one_slow_batch_hardly_shows(clock):
    meter, tokens = PaceMeter(), 0
    meter.noted(Counts(), Backlog(documents=1, wanted_tokens=100_000))

    def pass_by(seconds: int, tokens_per_s: int) -> float:
        nonlocal tokens
        for _ in range(seconds):
            clock[0] += 1.0
            tokens += tokens_per_s
            meter.noted(Counts(tokens=tokens), Backlog(documents=1, wanted_tokens=100_000))
        return meter.read(Counts(), None).tokens_per_s

    assert pass_by(60, 100) == pytest.approx(100)
    assert pass_by(3, 0) > 85
    assert pass_by(120, 0) < 3
    assert pass_by(120, 100) > 95


def test_time_without_anything_to_compute_does_not_make_the_model_slow(clock):
    meter = PaceMeter()
    clock[0] += 60.0
    meter.noted(Counts(), Backlog(documents=1, wanted_tokens=1000))
    clock[0] += 10.0
    meter.noted(Counts(), Backlog(documents=1, wanted_tokens=0, tokens=1000))
    clock[0] += 60.0
    meter.noted(Counts(), Backlog(documents=1, tokens=1000))
    assert meter.read(Counts(), None).tokens_per_s == pytest.approx(100)


def test_nothing_is_known_before_anything_is_done(clock):
    assert PaceMeter().read(Counts(), None).eta_s is None


def test_without_vectors_to_compute_the_time_left_goes_by_documents(clock):
    meter = PaceMeter()
    meter.expect(20)
    clock[0] += 10.0
    assert meter.read(Counts(unchanged=5), None).eta_s == 30.0


def test_documents_that_only_wait_to_be_written_take_no_time(clock):
    meter = PaceMeter()
    meter.expect(122)
    meter.noted(Counts(), Backlog(documents=122, wanted_tokens=50_000))
    clock[0] += 50.0
    meter.noted(Counts(indexed=87, tokens=40_000), Backlog(documents=35, embedded=35, tokens=10_000))
    assert meter.read(Counts(indexed=87, tokens=40_000), None).eta_s == 0.0


def test_what_an_earlier_attempt_has_embedded_is_no_speed_of_this_one(clock):
    meter = PaceMeter()
    clock[0] += 1.0
    meter.noted(Counts(), Backlog(documents=9, wanted_tokens=1000, tokens=50_000))
    clock[0] += 10.0
    meter.noted(Counts(), Backlog(documents=9, wanted_tokens=0, tokens=51_000))
    assert meter.read(Counts(), None).tokens_per_s == 100.0


def test_documents_that_have_left_the_backlog_and_are_not_counted_yet_do_not_count_twice_afterwards(clock):
    meter = PaceMeter()
    meter.noted(Counts(), Backlog(documents=2, wanted_tokens=9000, tokens=1000))
    for counts, backlog in ((0, 0), (1000, 0), (1000, 100)):
        clock[0] += 1.0
        meter.noted(Counts(tokens=counts), Backlog(documents=1, wanted_tokens=9000, tokens=backlog))
    assert 30 < meter.read(Counts(), None).tokens_per_s < 40
