"""How much a child may write into its folder, which no limit of the kernel's says for all files together."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

_LOOK_EVERY_S = 0.5


async def overfull(folder: Path, limit_bytes: int) -> None:
    """Return once the files below `folder` take more than `limit_bytes` of the disk; wait for it for ever."""
    while True:
        await anyio.sleep(_LOOK_EVERY_S)
        if await anyio.to_thread.run_sync(taken_bytes, folder) > limit_bytes:
            return


def taken_bytes(folder: Path) -> int:
    """Return what the files below a folder take of the disk. Links are not followed; what goes away meanwhile counts nothing."""
    total, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue
    return total
