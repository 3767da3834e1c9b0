"""A chunk is traced to its document, which is fetched and prepared again: what still matches is told from what does not, and why."""

from dataclasses import replace

import pytest

from syncd.model import Rows
from syncd.pipeline.preparation import Preparation
from syncd.pipeline.prepare.preparer import DocumentPreparer
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.sync.explain import Derivation, Explainer, Explanation
from tests.pipeline.parts import write

MATCHES = Derivation("matches", "text, id and vector are what the document gives now", True, True, True)


@pytest.fixture
async def explain(parts, folder, target):
    """Explain the second chunk of b.md, as `explain(chunking=…)` does with another configuration."""
    await parts.sync(folder, target)
    (chunk_id,) = [row.id for row in await parts.chroma.get(target) if "Other words" in row.document]

    async def embedder(_):
        return parts.embedder

    async def explained(**changes) -> Explanation:
        async def opened(record):
            return FolderTreeSource(FolderSettings("folder", folder))

        async with DocumentPreparer() as preparer:
            explainer = Explainer(parts.store, parts.chroma, opened, Preparation(lambda _: preparer, embedder))
            found = await explainer.explain(await parts.store.collections.find(target), chunk_id)
        assert found is not None
        return found

    explained.id = chunk_id
    return explained


async def test_a_chunk_that_is_as_it_was_made_matches_in_everything(explain, parts, target):
    found = await explain()
    assert (found.chunk.metadata["key"], found.chunk.metadata["start_line"]) == ("b.md", 5)
    assert found.source.name == "folder"
    assert found.in_chroma == "as stored"
    assert found.derivation == MATCHES
    cursor = await parts.store.progress.reached(found.source.id, target)
    assert (await explain()).derivation == MATCHES
    assert await parts.store.progress.reached(found.source.id, target) == cursor


async def test_a_document_that_was_touched_only_still_matches_and_one_with_other_bytes_has_changed(explain, folder):
    (folder / "b.md").touch()
    assert (await explain()).derivation == MATCHES
    write(folder, {"b.md": "# Other\n\nAnother text.\n"})
    derivation = (await explain()).derivation
    assert (derivation.outcome, derivation.text_matches) == ("changed", None)
    assert "the next sync replaces it" in derivation.reason
    write(folder, {"b.md": None})
    assert (await explain()).derivation.outcome == "gone"


async def test_the_same_bytes_cut_or_embedded_otherwise_differ(explain, parts, monkeypatch):
    record = await parts.store.sources.by_name("folder")
    monkeypatch.setattr(type(parts.embedder), "embed", reversed_vectors(type(parts.embedder).embed))
    assert (await explain()).derivation == Derivation(
        "differs", "the text is the same, its vector would be another one now", True, True, False
    )
    chunking = replace(record.chunking, target_size_bytes=1000, max_size_bytes=1000)
    await parts.store.sources.replace(record, record.database, record.settings, record.embedding, chunking)
    derivation = (await explain()).derivation
    assert (derivation.outcome, derivation.text_matches, derivation.id_matches) == ("differs", False, False)


def reversed_vectors(embed):
    async def other(*args, **options):
        made = await embed(*args, **options)
        return replace(made, vectors=made.vectors[:, ::-1].copy())

    return other


async def test_what_chroma_has_of_it_is_told(explain, parts, target):
    (row,) = await parts.chroma.get(target, [explain.id], vectors=True)
    other = Rows([row.id], [row.metadata], ["other words"], row.vector[None])
    await parts.chroma.write(target, [row.id], other, Rows((), ()))
    assert (await explain()).in_chroma == "different"
    await parts.chroma.write(target, [row.id], Rows((), ()), Rows((), ()))
    assert (await explain()).in_chroma == "missing"


async def test_without_its_source_a_chunk_is_traced_and_not_derived(explain, parts):
    record = await parts.store.sources.by_name("folder")
    await parts.store.sources.delete(record.id)
    found = await explain()
    assert found.source is None
    assert found.chunk.metadata["key"] == "b.md"
    assert found.derivation.outcome == "not derived"
    assert "its source is gone" in found.derivation.reason


async def test_what_is_no_chunk_is_none(explain, parts, target):
    record = await parts.store.collections.find(target)
    explainer = Explainer(parts.store, parts.chroma, None, None)
    assert await explainer.explain(record, "nothing-0") is None
