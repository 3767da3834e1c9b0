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
    clock[0] += 10.0
    meter.noted(
        Counts(tokens=1000), Backlog(documents=4, embedded=1, wanted_bytes=8000, tokens=1000, embedded_bytes=4000)
    )
    now = meter.read(Counts(tokens=1000), None)
    assert (now.tokens_per_s, now.eta_s) == (200.0, 10.0)
    assert now.stages == {"prepared": 3, "embedded": 1, "tokens_left": 2000}


def test_what_the_source_has_yet_to_yield_counts_in_proportion(clock):
    meter = PaceMeter()
    meter.expect(20)
    clock[0] += 10.0
    meter.noted(Counts(), Backlog(documents=10, wanted_bytes=4000, tokens=1000, embedded_bytes=4000))
    assert meter.read(Counts(), None).eta_s == (1000 + 10 * 200) / 100


def test_speed_is_that_of_the_last_half_minute(clock):
    meter = PaceMeter()
    for second in range(1, 121):
        clock[0] += 1.0
        meter.noted(Counts(tokens=min(second, 60) * 100), Backlog())
    assert meter.read(Counts(), None).tokens_per_s == 0.0


def test_nothing_is_known_before_anything_is_done(clock):
    assert PaceMeter().read(Counts(), None).eta_s is None


def test_without_vectors_to_compute_the_time_left_goes_by_documents(clock):
    meter = PaceMeter()
    meter.expect(20)
    clock[0] += 10.0
    assert meter.read(Counts(unchanged=5), None).eta_s == 30.0
