"""Preparing waits while what is prepared takes more than its share of the disk."""

import anyio
import pytest

from syncd.pipeline import disk
from syncd.pipeline.disk import DiskRoom


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


async def test_there_is_room_up_to_the_share(tmp_path):
    with anyio.fail_after(5):
        await DiskRoom(Taken(1000), tmp_path, 0.5).wait()


async def test_beyond_it_it_waits_until_there_is_room_again(tmp_path):
    taken = Taken(1001)
    room, went_on = DiskRoom(taken, tmp_path, 0.5), anyio.Event()

    async def wait() -> None:
        await room.wait()
        went_on.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        with anyio.move_on_after(0.1):
            await went_on.wait()
        assert not went_on.is_set()
        taken.bytes = 10
        with anyio.fail_after(5):
            await went_on.wait()
