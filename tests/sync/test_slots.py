"""Slots are shared fairly, and what does not get on has none."""

from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest

from syncd.model import Invocation, OneObject, Origin, SlotKind, State, Target, Upload, WholeSource
from syncd.sync.runner import Attempt
from syncd.sync.settings import SyncSettings
from syncd.sync.slots import free_kinds, has_its_share

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
    assert has_its_share(invocation("sick", request_), both, SETTINGS)
    assert not has_its_share(invocation("healthy", request_), both, SETTINGS)


async def test_all_slots_are_taken_by_what_gets_on():
    four = [running(str(number), OBJECT) for number in range(4)]
    assert SlotKind.OBJECT in free_kinds(four[1:], SETTINGS, NOW)
    assert SlotKind.OBJECT not in free_kinds(four, SETTINGS, NOW)


@pytest.mark.parametrize(("request_", "for_s"), [(OBJECT, 11.0), (WHOLE, 101.0)])
async def test_what_does_not_get_on_gives_its_slot_back_and_counts_as_its_sources_own_still(request_, for_s):
    stuck = [running(name, request_, for_s=for_s) for name in ("sick", "sick", "ill", "ill")]
    assert [*free_kinds(stuck, SETTINGS, NOW)] == [*SlotKind]
    assert has_its_share(invocation("sick", request_), stuck, SETTINGS)
    assert not has_its_share(invocation("healthy", request_), stuck, SETTINGS)


async def test_uploads_whole_runs_and_single_objects_have_slots_of_their_own():
    four = [running(str(number), OBJECT) for number in range(4)]
    assert [*free_kinds(four, SETTINGS, NOW)] == [SlotKind.WHOLE, SlotKind.UPLOAD]
    files = [running("uploads", FILE) for _ in range(4)]
    assert not has_its_share(invocation("uploads", FILE), files[1:], SETTINGS)
    assert has_its_share(invocation("uploads", FILE), files, SETTINGS)
    assert [*free_kinds([*four, *files], SETTINGS, NOW)] == [SlotKind.WHOLE]


async def test_a_setting_of_one_slot_lets_one_run():
    one = replace(SETTINGS, runs=1)
    assert not has_its_share(invocation("a", WHOLE), [], one)
    assert SlotKind.WHOLE in free_kinds([], one, NOW)
    assert SlotKind.WHOLE not in free_kinds([running("a", WHOLE)], one, NOW)
