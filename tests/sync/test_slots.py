"""Slots are shared fairly, and what does not get on has none."""

from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest

from syncd.model import Invocation, OneObject, Origin, State, Target, Upload, WholeSource
from syncd.sync.runner import Attempt
from syncd.sync.settings import SyncSettings
from syncd.sync.slots import is_full

SETTINGS = SyncSettings(runs=4, object_runs=4, object_patience_s=10.0, run_patience_s=100.0)
NOW = 1000.0
OBJECT, WHOLE, FILE = OneObject("a"), WholeSource(), Upload(file="f", filename="f")


def invocation(source: str, request) -> Invocation:
    return Invocation("i", source, Target("d", "c"), Origin.EVENT, request, State.PENDING, datetime.now(UTC))


def running(source: str, request, *, for_s: float = 0.0) -> Attempt:
    return Attempt(invocation(source, request), anyio.CancelScope(), moved_at=NOW - for_s)


@pytest.mark.parametrize("request_", [OBJECT, WHOLE])
async def test_a_source_has_at_most_half_of_the_slots(request_):
    both = [running("sick", request_), running("sick", request_)]
    assert is_full(invocation("sick", request_), both, SETTINGS, NOW)
    assert not is_full(invocation("healthy", request_), both, SETTINGS, NOW)


async def test_all_slots_are_taken_by_what_gets_on():
    four = [running(str(number), OBJECT) for number in range(4)]
    assert is_full(invocation("healthy", OBJECT), four, SETTINGS, NOW)


@pytest.mark.parametrize(("request_", "for_s"), [(OBJECT, 11.0), (WHOLE, 101.0)])
async def test_what_does_not_get_on_gives_its_slot_back_and_counts_as_its_sources_own_still(request_, for_s):
    stuck = [running(name, request_, for_s=for_s) for name in ("sick", "sick", "ill", "ill")]
    assert not is_full(invocation("healthy", request_), stuck, SETTINGS, NOW)
    assert is_full(invocation("sick", request_), stuck, SETTINGS, NOW)


async def test_uploads_whole_runs_and_single_objects_have_slots_of_their_own():
    four = [running(str(number), OBJECT) for number in range(4)]
    assert not is_full(invocation("uploads", FILE), four, SETTINGS, NOW)
    assert not is_full(invocation("whole", WHOLE), four, SETTINGS, NOW)
    files = [running("uploads", FILE) for _ in range(3)]
    assert not is_full(invocation("uploads", FILE), files, SETTINGS, NOW)
    assert is_full(invocation("uploads", FILE), [*files, running("uploads", FILE)], SETTINGS, NOW)


async def test_a_setting_of_one_slot_lets_one_run():
    one = replace(SETTINGS, runs=1)
    assert not is_full(invocation("a", WHOLE), [], one, NOW)
    assert is_full(invocation("a", WHOLE), [running("a", WHOLE)], one, NOW)
