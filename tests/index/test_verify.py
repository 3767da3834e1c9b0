"""A collection that somebody tampered with is told from the store, and mended where it differs and nowhere else."""

import numpy as np
import pytest

from syncd.errors import NotFoundError
from syncd.index.verify import Drift, Verifier
from syncd.model import Rows, Target
from syncd.store.outbox import Portion
from tests.pipeline.parts import running

FILES = {f"{n}.md": f"# Title {n}\n\nSome words about thing {n}, which matters here.\n" for n in range(8)}
NOTHING = Rows((), ())
VECTOR = np.eye(1, 8, dtype=np.float32)


@pytest.fixture
def verifier(parts):
    return Verifier(parts.store, parts.chroma, parts.index)


async def contents(parts, target) -> dict[str, object]:
    rows = await parts.chroma.get(target, vectors=True)
    return {row.id: (row.document, row.metadata, row.vector.round(5).tolist()) for row in rows}


def rows(ids, metadatas, documents, vector=VECTOR) -> Rows:
    return Rows(list(ids), list(metadatas), list(documents), [vector[0]] * len(ids))


async def tamper(parts, target) -> None:
    """One row lost, one with another text, one with another vector, one with other metadata; one forged, one not ours."""
    first, second, third, fourth, *_ = sorted(await parts.chroma.get(target, vectors=True), key=lambda row: row.id)
    await parts.chroma.write(target, [first.id], NOTHING, NOTHING)
    text = rows([second.id], [second.metadata], ["other words"], second.vector[None])
    await parts.chroma.write(target, [second.id], text, NOTHING)
    await parts.chroma.write(target, [third.id], rows([third.id], [third.metadata], [third.document]), NOTHING)
    await parts.chroma.write(target, [], NOTHING, Rows([fourth.id], [{**fourth.metadata, "start_line": 7}]))
    forged = rows(["forged-0", "own"], [first.metadata, {"mine": True}], ["forged", "my own"])
    await parts.chroma.write(target, [], forged, NOTHING)


async def damage(parts) -> None:
    """Flip bits of one chunk's text and of another one's vector, as a disk may."""

    def flip(connection) -> None:
        connection.execute("UPDATE chunks SET text = replace(text, 'matters', 'mutters') WHERE text LIKE '%thing 2,%'")
        connection.execute(
            "UPDATE vectors SET vector = zeroblob(length(vector)) "
            "WHERE key = (SELECT vector_key FROM chunks WHERE text LIKE '%thing 5,%')"
        )

    await parts.store.database.write(flip)


async def test_what_is_damaged_in_the_store_is_told_written_nowhere_and_fetched_again(parts, verifier, folder, target):
    await parts.sync(folder, target)
    right = await contents(parts, target)
    parts.embedder.embedded.clear()
    await damage(parts)
    assert await verifier.verify(target) == Drift(len(right), damaged=2)
    assert await verifier.verify(target, repair=True) == Drift(len(right), damaged=2)
    record = await parts.store.collections.find(target)
    await parts.index.look(record.id)
    assert await contents(parts, target) == right
    (asked,) = await parts.store.invocations.due(9)
    assert asked.request.keys == {"2.md", "5.md"}
    assert (await verifier.verify(target, repair=True)).extra == 0
    await parts.sync(folder, target)
    await parts.index.look(record.id)
    assert (await parts.store.collections.find(target)).chroma_id == record.chroma_id
    assert await contents(parts, target) == right
    assert await verifier.verify(target) == Drift(len(right))
    (text,) = parts.embedder.embedded
    assert "thing 5," in text


async def test_what_is_left_of_a_damaged_chunk_outlives_that_others_are_filled_in(parts, verifier, folder, target):
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await damage(parts)
    await verifier.verify(target, repair=True)
    record = await parts.store.collections.find(target)
    lost = [chunk_id for chunk_id, row in right.items() if "thing 7," in row[0]]
    await parts.chroma.write(target, lost, NOTHING, NOTHING)
    await parts.index.look(record.id)
    assert await contents(parts, target) == right
    assert (await parts.store.collections.find(target)).chroma_id == record.chroma_id
    await parts.chroma.write(target, list(right), NOTHING, NOTHING)
    await parts.index.look(record.id)
    assert len(await contents(parts, target)) == len(right) - 2
    chroma_id = (await parts.store.collections.find(target)).chroma_id
    await parts.index.look(record.id)
    assert (await parts.store.collections.find(target)).chroma_id == chroma_id


async def test_a_chunk_that_is_damaged_before_it_is_written_leaves_nothing(parts, folder, target):
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    (chunk_id,) = [row.id for row in await parts.chroma.get(target) if "thing 2," in row.document]
    await parts.chroma.write(target, [chunk_id], NOTHING, NOTHING)
    await parts.store.outbox.want(record.id, [chunk_id])
    await damage(parts)
    await parts.index.flush(record.id, [chunk_id])
    chunks, _ = await parts.store.refills.expected(record.id)
    assert chunks == await parts.chroma.count(target)
    await parts.index.look(record.id)
    assert await parts.store.outbox.ids(record.id) == await parts.store.outbox.forgotten(record.id) == []


@pytest.mark.parametrize("shorter", [True, False])
async def test_what_is_left_of_a_damaged_chunk_goes_with_its_document(parts, verifier, folder, target, shorter):
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await damage(parts)
    await verifier.verify(target, repair=True)
    for name in ("2.md", "5.md"):
        (folder / name).write_text("") if shorter else (folder / name).unlink()
    await parts.sync(folder, target)
    left = {chunk_id: row for chunk_id, row in right.items() if "thing 2," not in row[0] and "thing 5," not in row[0]}
    assert await contents(parts, target) == left


async def test_a_damaged_vector_that_two_collections_need_is_computed_again_once(parts, verifier, folder, target):
    await parts.sync(folder, target)
    await parts.sync(folder, Target(target.database, f"{target.collection}-2"))
    right = await contents(parts, target)
    await damage(parts)
    await verifier.verify(target, repair=True)
    parts.embedder.embedded.clear()
    await parts.sync(folder, target)
    assert await contents(parts, target) == right
    assert await verifier.verify(target) == Drift(len(right))
    (text,) = parts.embedder.embedded
    assert "thing 5," in text


async def test_what_is_damaged_in_the_store_does_not_get_into_a_collection_that_is_made_anew(parts, folder, target):
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await damage(parts)
    await parts.index.rebuild(target)
    assert [row[0] for row in (await contents(parts, target)).values() if "mutters" in row[0]] == []
    await parts.sync(folder, target)
    assert await contents(parts, target) == right


async def test_what_was_just_synced_has_no_drift(parts, verifier, folder, target):
    await parts.sync(folder, target)
    assert await verifier.verify(target) == Drift(await parts.chroma.count(target))


async def test_rows_are_not_looked_for_where_there_can_be_none_beside_those_that_were_compared(
    parts, verifier, folder, target, monkeypatch
):
    await parts.sync(folder, target)
    looked: list[int] = []
    part = parts.chroma.part
    monkeypatch.setattr(
        parts.chroma, "part", lambda target, number, of: looked.append(number) or part(target, number, of)
    )
    count = await parts.chroma.count(target)
    assert await verifier.verify(target) == Drift(count)
    assert not looked
    (first, *_) = await parts.chroma.get(target)
    await parts.chroma.write(target, [first.id], rows(["forged-0"], [first.metadata], ["forged"]), NOTHING)
    assert await parts.chroma.count(target) == count
    assert await verifier.verify(target) == Drift(count, missing=1, extra=1)
    assert looked


async def test_drift_is_told_and_left_alone_until_it_is_to_be_repaired(parts, verifier, folder, target):
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await tamper(parts, target)
    wrong = await contents(parts, target)
    parts.embedder.embedded.clear()
    found = Drift(len(right), missing=1, texts=1, vectors=1, metadata=1, extra=1)
    assert await verifier.verify(target) == found
    assert await contents(parts, target) == wrong
    assert await verifier.verify(target, repair=True) == found
    mended = await contents(parts, target)
    assert mended.pop("own")[0] == "my own"
    assert mended == right
    assert await verifier.verify(target) == Drift(len(right))
    assert parts.embedder.embedded == []


async def test_a_repair_that_is_cut_off_is_finished_by_the_next_start(tmp_path, chroma_server, folder, target):
    async with running(tmp_path / "state", chroma_server) as parts:
        await parts.sync(folder, target)
        right = await contents(parts, target)
        await tamper(parts, target)
        record = await parts.store.collections.find(target)
        await parts.store.outbox.want(record.id, [*right, "forged-0"])
    async with running(tmp_path / "state", chroma_server) as parts:
        mended = await contents(parts, target)
        del mended["own"]
        assert mended == right


async def test_keys_that_people_add_to_chunks_are_no_drift(parts, verifier, folder, target):
    await parts.sync(folder, target)
    (row, *_) = await parts.chroma.get(target)
    await parts.chroma.write(target, [], NOTHING, Rows([row.id], [{"reviewed": True}]))
    assert await verifier.verify(target) == Drift(await parts.chroma.count(target))


async def test_of_a_collection_that_was_deleted_or_made_again_all_is_missing(parts, verifier, folder, target):
    await parts.sync(folder, target)
    right = await contents(parts, target)
    await parts.chroma.delete_collection(target)
    assert await verifier.verify(target) == Drift(len(right), missing=len(right))
    await parts.chroma.open_collection(target)
    assert await verifier.verify(target, repair=True) == Drift(len(right), missing=len(right))
    assert await contents(parts, target) == right
    assert await verifier.verify(target) == Drift(len(right))


async def test_of_one_source_only_its_own_rows_are_compared_and_mended(parts, verifier, folder, target):
    await parts.sync(folder, target)
    record, right = await parts.source(folder), await contents(parts, target)
    await tamper(parts, target)
    (row,) = await parts.chroma.get(target, ["forged-0"])
    anothers = {**row.metadata, "source_id": "another"}
    await parts.chroma.write(target, [], rows(["another-0"], [anothers], ["another's"]), NOTHING)
    own = Drift(len(right), missing=1, texts=1, vectors=1, metadata=1, extra=1)
    assert await verifier.verify(target, portion=Portion("another")) == Drift(0, extra=1)
    assert await verifier.verify(target, repair=True, portion=Portion(record.id)) == own
    assert await verifier.verify(target, portion=Portion(record.id)) == Drift(len(right))
    assert await verifier.verify(target) == Drift(len(right), extra=1)


async def test_a_share_compares_other_documents_each_time_and_so_all_of_them_in_time(parts, verifier, folder, target):
    await parts.sync(folder, target)
    chunks = await parts.chroma.count(target)
    first = min(row.id for row in await parts.chroma.get(target))
    await parts.chroma.write(target, [first], NOTHING, NOTHING)
    found = [await verifier.verify(target, portion=Portion(share=0.3, salt=salt * 7919)) for salt in range(12)]
    assert all(drift.chunks < chunks for drift in found)
    assert {drift.missing for drift in found} == {0, 1}


async def test_a_collection_that_syncd_never_wrote_is_not_compared(verifier, target):
    with pytest.raises(NotFoundError, match="never wrote"):
        await verifier.verify(target)
