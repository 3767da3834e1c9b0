"""What a watched folder asks for."""

from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import anyio

from syncd.model import Chunking, Embedding, SomeKeys, SourceRecord, SourceWatch, WholeSource
from syncd.sources.factory import Machine
from syncd.sources.folder.factory import FolderFactory
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store


async def test_a_watched_folder_asks_for_everything_and_then_for_what_changed(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    settings = FolderSourceSettings(path=str(folder), watch=SourceWatch(target_collection_name="notes"))
    record = SourceRecord("1", "folder", "d", settings, Embedding(), Chunking(), datetime.now(UTC))
    store = await Store.open(tmp_path / "state", TYPES)
    async with aclosing(FolderFactory(Machine(tmp_path / "state", store)).watch(record)) as requests:
        with anyio.fail_after(60):
            assert await anext(requests) == WholeSource()
            (folder / "a.md").write_text("a")
            assert await anext(requests) == SomeKeys(("a.md",))
    await store.close()
