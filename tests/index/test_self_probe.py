"""Vectors that no longer find themselves are noticed and written again, or the collection is rebuilt."""

import pytest

from syncd.index.self_probe import Probed, SelfProbe
from syncd.index.verify import Drift, Verifier
from tests.memory_target import MemoryTarget
from tests.models import in_its_own_task
from tests.pipeline.parts import over

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}, which matters here.\n" for n in range(12)}


class Shifting(MemoryTarget):
    """Once it is told to, it takes each vector for that of another row, as torn index files do."""

    shifted = 0

    async def query(self, target, vector, limit, where=None, where_document=None, *, contents=True):
        rows = list(self._collection(target).rows)[: self.shifted]
        found = await super().query(target, vector, limit, where, where_document, contents=contents)
        return [row for row in found if row.id not in rows]

    async def delete_collection(self, target):
        await super().delete_collection(target)
        self.shifted = 0


@pytest.fixture
async def parts(tmp_path):
    async with in_its_own_task(over(tmp_path / "state", Shifting())) as parts:
        yield parts


async def test_what_was_just_synced_finds_itself(parts, folder, target):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    probed = await SelfProbe(parts.store, parts.chroma, parts.index).probe(record)
    assert probed == Probed(await parts.chroma.count(target), [])


async def test_one_lost_vector_is_written_again_and_many_have_the_collection_rebuilt(parts, folder, target):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    probe = SelfProbe(parts.store, parts.chroma, parts.index)
    (first, second) = list(parts.chroma._collection(target).rows)[:2]
    parts.chroma.shifted = 1
    assert (await probe.probe(record)).lost == [first]
    await probe.heal(record, await probe.probe(record))
    # It is the last row now, and another one the first.
    assert (await probe.probe(record)).lost == [second]
    parts.chroma.shifted = 5
    ident = await parts.chroma.collection_id(target)
    await probe.heal(record, await probe.probe(record))
    await parts.index.look(record.id)
    record = await parts.store.collections.find(target)
    assert record.chroma_id != ident
    assert not (await probe.probe(record)).lost


async def test_verify_tells_the_damage_and_with_repair_waits_for_the_rebuild(parts, folder, target):
    await parts.sync(folder, target)
    parts.chroma.shifted = 5
    verifier = Verifier(parts.store, parts.chroma, parts.index)
    drift = await verifier.verify(target, repair=True)
    assert "5 of" in drift.unreadable
    assert await verifier.verify(target) == Drift(drift.chunks)
