"""What a run does, and above all what it leaves alone."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from syncd.errors import NotFoundError
from syncd.model import Checkpoint, Document, Origin, Target
from tests.daemon import held
from tests.pipeline.parts import write
from tests.sync.syncing import FILES, Text, created, document, settled, syncing


async def test_a_first_run_indexes_everything_and_a_second_does_nothing(parts, folder, target):
    first = await parts.sync(folder, target)
    assert (first.counts.found, first.counts.indexed) == (3, 3)
    assert first.counts.chunks_written == await parts.chroma.count(target) > 3
    again = await parts.sync(folder, target)
    assert (again.counts.unchanged, again.counts.chunks_written, again.counts.chunks_embedded) == (3, 0, 0)


async def test_only_what_changed_is_embedded_and_written(parts, folder, target):
    await parts.sync(folder, target)
    parts.embedder.embedded.clear()
    write(folder, {"a.py": "def a():\n    return 'changed'\n", "c.py": None, "d.py": FILES["c.py"]})
    run = await parts.sync(folder, target)
    assert (run.counts.indexed, run.counts.unchanged, run.counts.deleted) == (2, 1, 1)
    assert (run.counts.chunks_written, run.counts.chunks_deleted) == (2, 1)
    assert any("changed" in text for text in parts.embedder.embedded)
    # The moved file's path is part of what is embedded; its text stays under the same content otherwise.
    assert all("Title" not in text for text in parts.embedder.embedded)


async def test_a_touched_file_costs_no_chunk(parts, folder, target):
    await parts.sync(folder, target)
    os.utime(folder / "a.py", (1, 1))
    run = await parts.sync(folder, target)
    assert (run.counts.unchanged, run.counts.indexed) == (3, 0)


async def test_lineage_leads_back_to_the_very_bytes_and_lines(parts, folder, target):
    await parts.sync(folder, target)
    for row in await parts.chroma.get(target):
        data = (folder / str(row.metadata["key"])).read_bytes()
        assert data[row.metadata["start_byte"] : row.metadata["end_byte"]].decode() == row.document
        lines = data.decode().splitlines(keepends=True)
        assert "".join(lines[row.metadata["start_line"] - 1 : row.metadata["end_line"]]).strip() == row.document.strip()
        assert row.metadata["chunk_index"] < row.metadata["chunk_count"]
        assert row.metadata["source_type"] == "folder"


async def test_one_broken_document_stops_nobody_and_is_listed_with_its_reason(parts, folder, target):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 not really")
    record = await parts.source(folder)
    run = await parts.sync(folder, target)
    assert run.counts.indexed == 3
    assert run.counts.failed + run.counts.skipped == 1
    (invocation,) = await parts.store.invocations.list(source_id=record.id)
    outcomes = {o.key: o for o in await parts.store.invocations.documents(invocation.id)}
    assert outcomes["broken.pdf"].reason
    assert outcomes["a.py"].state == "indexed"


async def test_a_file_that_turns_binary_leaves_the_collection(parts, folder, target):
    await parts.sync(folder, target)
    (folder / "a.py").write_bytes(b"\0\1\2")
    run = await parts.sync(folder, target)
    assert run.counts.skipped == 1
    assert not [row for row in await parts.chroma.get(target) if row.metadata["key"] == "a.py"]


TABLES = {
    "collections": "*",
    "documents": "*",
    "chunks": "*",
    "vectors": "key",
    "outbox": "*",
    "cursors": "*",
    "held_deletes": "*",
}


async def everything(parts, target) -> dict[str, object]:
    """What is recorded and indexed, as far as a dry run could spoil it."""
    stored = {
        table: await parts.store.database.read(
            lambda c, table=table, columns=columns: sorted(map(repr, c.execute(f"SELECT {columns} FROM {table}")))
        )
        for table, columns in TABLES.items()
    }
    exists = await parts.chroma.collection_id(target) is not None
    rows = await parts.chroma.get(target) if exists else []
    return {**stored, "chroma": {row.id: (row.document, row.metadata) for row in rows} if exists else None}


async def test_a_dry_run_tells_what_the_run_then_does_and_does_nothing(parts, folder, target):
    write(folder, {"long.md": "# Long\n\n" + "".join(f"## Part {i}\n\nWords of part {i}.\n\n" for i in range(9))})
    await parts.sync(folder, target)
    changes = {
        "a.py": "def a():\n    return 'changed'\n",
        "c.py": None,
        "d.py": FILES["c.py"],
        "long.md": "# Long\n\n" + "".join(f"## Part {i}\n\nWords of part {i}.\n\n" for i in range(1, 9)),
    }
    write(folder, changes)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 not really")
    before = await everything(parts, target)
    parts.embedder.embedded.clear()
    foreseen = await parts.sync(folder, target, dry_run=True)
    assert await everything(parts, target) == before
    assert parts.embedder.embedded == []
    assert foreseen.counts.tokens > 0
    (invocation, *_) = await parts.store.invocations.list()
    outcomes = {o.key: (o.state, o.reason) for o in await parts.store.invocations.documents(invocation.id)}
    assert outcomes.pop("broken.pdf")[0] in ("skipped", "failed")
    assert outcomes == {
        "a.py": ("indexed", "changed"),
        "long.md": ("indexed", "changed"),
        "d.py": ("indexed", "new"),
        "c.py": ("deleted", ""),
    }
    done = await parts.sync(folder, target)
    assert replace(foreseen.counts, tokens=0) == replace(done.counts, tokens=0)
    assert done.counts.chunks_deleted > 0


async def test_a_dry_run_into_a_new_collection_creates_nothing(parts, folder, target):
    before = await everything(parts, target)
    foreseen = await parts.sync(folder, target, dry_run=True)
    assert await everything(parts, target) == before
    assert await parts.chroma.collection_id(target) is None
    done = await parts.sync(folder, target)
    assert replace(foreseen.counts, tokens=0) == replace(done.counts, tokens=0)


async def test_a_dry_run_counts_the_deletes_that_would_be_held_and_holds_none(parts, folder, target):
    write(folder, {f"many/{i}.txt": f"words number {i} in this file\n" for i in range(30)})
    await parts.sync(folder, target)
    write(folder, {f"many/{i}.txt": None for i in range(30)})
    before = await everything(parts, target)
    foreseen = await parts.sync(folder, target, dry_run=True)
    assert (foreseen.counts.held_deletes, foreseen.counts.deleted) == (30, 0)
    assert await everything(parts, target) == before


async def test_a_dry_run_asks_nothing_of_the_source_for_a_collection_deleted_in_chroma(parts, folder, target):
    await parts.sync(folder, target)
    await parts.chroma.delete_collection(target)
    foreseen = await parts.sync(folder, target, dry_run=True)
    assert (foreseen.counts.unchanged, foreseen.counts.indexed) == (3, 0)
    assert await parts.chroma.collection_id(target) is None


async def test_asked_for_one_key_nothing_else_is_looked_at(parts, folder, target):
    await parts.sync(folder, target)
    write(folder, {"a.py": "def a():\n    return 'new'\n", "c.py": "def c():\n    return 'new too'\n"})
    run = await parts.sync(folder, target, keys=["a.py"])
    assert run.counts.found == 1
    rows = await parts.chroma.get(target)
    assert any("'new'" in row.document for row in rows)
    assert not any("'new too'" in row.document for row in rows)


async def test_a_collection_deleted_in_chroma_is_filled_again_without_embedding(parts, folder, target):
    await parts.sync(folder, target)
    before = await parts.chroma.count(target)
    await parts.chroma.delete_collection(target)
    parts.embedder.embedded.clear()
    await parts.sync(folder, target)
    assert await parts.chroma.count(target) == before
    assert parts.embedder.embedded == []


async def test_a_rebuild_gives_the_same_collection_without_fetching_or_embedding(parts, folder, target, chroma_server):
    await parts.sync(folder, target)
    await parts.chroma.set_metadata(target, {"finished_ingest": True})
    before = held(chroma_server.host, chroma_server.port, target.collection)
    parts.embedder.embedded.clear()
    for path in folder.iterdir():
        path.unlink()
    written = await parts.index.rebuild(target)
    assert written == len(before.rows)
    held(chroma_server.host, chroma_server.port, target.collection).assert_equals(before)
    assert parts.embedder.embedded == []
    assert (await parts.chroma.metadata(target))["finished_ingest"] is True


async def test_what_syncd_never_wrote_cannot_be_rebuilt(parts, target):
    with pytest.raises(NotFoundError, match="never wrote"):
        await parts.index.rebuild(target)


async def test_another_collection_of_the_same_source_is_carried_over_without_embedding(parts, folder, target):
    await parts.sync(folder, target)
    parts.embedder.embedded.clear()
    other = Target(target.database, target.collection + "-2")
    run = await parts.sync(folder, other)
    assert (run.counts.indexed, run.counts.chunks_embedded) == (3, 0)
    assert await parts.chroma.count(other) == await parts.chroma.count(target)
    assert parts.embedder.embedded == []


async def test_text_put_in_front_moves_chunks_without_rewriting_them(parts, folder, target):
    await parts.sync(folder, target)
    ids = {row.document: row.id for row in await parts.chroma.get(target)}
    write(folder, {"b.md": "# Preface\n\nA few words that stand in front of all others now.\n\n" + FILES["b.md"]})
    run = await parts.sync(folder, target)
    assert run.counts.chunks_embedded == run.counts.chunks_written == 1
    after = {row.document: row.id for row in await parts.chroma.get(target)}
    assert {text: after[text] for text in ids} == ids


async def test_what_was_not_seen_in_part_of_a_site_stays(parts, fresh_name):
    class Two:
        runs = 0

        async def changes(self, run) -> AsyncIterator[Document | Checkpoint]:
            self.runs += 1
            yield document("one")
            if self.runs == 1:
                yield Document("b.txt", "1", Text("two"), "b")
            yield Checkpoint(str(self.runs), absent_are_gone=True, incomplete="cut" if self.runs == 2 else "")

    first = await created(parts, Origin.SCHEDULE, fresh_name, "web_scrape")
    left: list[int] = []
    async with syncing(parts, Two()) as syncer:
        for invocation in (first, *[None] * 2):
            asked = invocation or await parts.store.invocations.create(first.source_id, first.target, Origin.SCHEDULE)
            syncer.wake()
            await settled(parts, asked)
            left.append(await parts.chroma.count(first.target))
    assert left == [2, 2, 1]
