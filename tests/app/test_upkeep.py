import pytest

from syncd.app.upkeep import Leftovers, make_admin_token
from syncd.runtime.state import TOKEN_FILE
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.absent_sources import PURGE
from tests.synced_folder import folder, parts, target, vector_server

__all__ = ["folder", "parts", "target", "vector_server"]
FILES = {f"{number}.txt": f"Words of note {number}.\n" for number in range(40)}


@pytest.mark.parametrize("damage", [b"sk_\xe1\xb3", b"", b"sk_another"])
async def test_a_token_file_that_is_damaged_is_made_anew(tmp_path, damage):
    store = await Store.open(tmp_path, TYPES)
    try:
        (tmp_path / TOKEN_FILE).write_bytes(damage)
        await make_admin_token(store, tmp_path)
        assert await store.tokens.verify((tmp_path / TOKEN_FILE).read_text().strip())
    finally:
        await store.close()


async def test_what_a_removed_source_left_is_purged_many_documents_at_a_time(parts, folder, target, monkeypatch):
    await parts.sync(folder, target)
    source = await parts.source(folder)
    await parts.store.sources.delete(source.id, PURGE)
    (absent,) = await parts.store.absent_sources.doomed()
    stage, batches = parts.store.documents.stage, []

    async def counted(changes):
        batches.append(len(changes))
        return await stage(changes)

    monkeypatch.setattr(parts.store.documents, "stage", counted)
    await Leftovers(parts.store, parts.index)._settle(absent)
    assert sum(batches) == len(FILES)
    assert len(batches) <= 2
    assert await parts.chroma.count(target) == 0
