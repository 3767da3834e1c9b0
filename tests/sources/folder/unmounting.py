"""A share is unmounted from a folder inside a synced one, and something else mounted there.

unshare -rm python -m tests.sources.folder.unmounting FOLDER
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from tests.sources.running import SyncedCollection


def mount(folder: Path, *names: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], check=True)
    write(folder, *names)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(name)


async def main(root: Path) -> None:
    share = root / "a share"
    share.mkdir(parents=True)
    write(root, "own", "gone")
    mount(share, "1", "2")
    index, source = SyncedCollection("folder"), FolderTreeSource(FolderSettings("notes", root))
    await index.sync(source)
    everything = {"own", "a share/1", "a share/2"}
    assert set(index.contents) == everything | {"gone"}
    unmount(share)
    write(share, "placeholder")
    (root / "gone").unlink()
    assert await index.sync(source, keys=frozenset({"a share", "a share/1"})) == ["a share/placeholder"]
    assert await index.sync(source) == ["gone"]
    for _ in range(2):
        assert set(index.contents) == everything | {"a share/placeholder"}
        assert await index.sync(source) == []
    mount(share, "1")
    assert await index.sync(source) == ["a share/1"]
    assert set(index.contents) == everything | {"a share/placeholder"}
    (root / "own").unlink()
    assert await index.sync(source) == ["own"]


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
