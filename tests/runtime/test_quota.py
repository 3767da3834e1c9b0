import os
from pathlib import Path

import anyio

from syncd.runtime.quota import overfull, taken_bytes


async def test_a_folder_is_overfull_once_all_files_in_it_together_take_too_much(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for number in range(4):
        (tmp_path / "sub" / str(number)).write_bytes(os.urandom(64 << 10))
    (tmp_path / "elsewhere").symlink_to("/usr")
    assert 256 << 10 <= taken_bytes(tmp_path) < 512 << 10
    with anyio.fail_after(120):
        await overfull(tmp_path, 200 << 10)
    with anyio.move_on_after(0) as waited:
        await overfull(tmp_path, 1 << 20)
    assert waited.cancelled_caught
    assert taken_bytes(tmp_path / "gone") == 0
