"""Preparing waits while what is prepared takes more than its share of the disk."""

import anyio
import pytest

from syncd.pipeline import disk
from syncd.pipeline.disk import DiskRoom
from syncd.store.changes import Urgency


class Taken:
    """So many bytes prepared."""

    def __init__(self, size_bytes: int) -> None:
        self.bytes = size_bytes

    async def size_bytes(self) -> int:
        return self.bytes


@pytest.fixture(autouse=True)
def _small_disk(monkeypatch):
    monkeypatch.setattr(disk, "LOOK_S", 0.01)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())


async def test_a_backfill_has_room_up_to_its_share_and_again_when_that_is_free(tmp_path):
    taken = Taken(1000)
    room = DiskRoom(taken, tmp_path, 0.5)
    assert await room.is_there(Urgency.BACKFILL)
    for size_bytes, is_there in ((1001, False), (10, True)):
        taken.bytes = size_bytes
        await anyio.sleep(disk.LOOK_S)
        assert await room.is_there(Urgency.BACKFILL) is is_there


@pytest.mark.parametrize("urgency", [Urgency.CHANGE, Urgency.OBJECT])
async def test_changes_have_room_where_backfills_have_none_left(tmp_path, urgency):
    assert await DiskRoom(Taken(2999), tmp_path, 0.5).is_there(urgency)
    assert not await DiskRoom(Taken(3001), tmp_path, 0.5).is_there(urgency)


async def test_nothing_new_begins_in_the_reserve_and_what_has_begun_may_use_half_of_it(tmp_path, monkeypatch):
    room = DiskRoom(Taken(0), tmp_path, 1.0, reserve_bytes=1500)
    assert "1,000 bytes free" in room.shortage()
    assert not await room.is_there(Urgency.OBJECT)
    await room.to_go_on()
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 700})())
    with anyio.move_on_after(0.05) as limit:
        await room.to_go_on()
    assert limit.cancelled_caught
