"""Sparse vectors in the collection itself, where the server indexes them; beside it, where it does not."""

from dataclasses import replace

import pytest
from chromadb.utils.embedding_functions.chroma_bm25_embedding_function import ChromaBm25EmbeddingFunction

from syncd.index.sparse_backfill import SparseBackfill
from syncd.model import Target
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import Query, Search
from syncd.sources.folder.settings import FolderSourceSettings
from tests.chroma.sparse_server import SparseServer
from tests.models import in_its_own_task
from tests.pipeline.parts import CHUNKING, MODEL, running, write

KEY = "words"
EMBEDDING = replace(MODEL, sparse_model="Chroma/BM25", sparse_key=KEY)
SECTIONS = "".join(f"## Part {n}\n\nThe keeper fills lamp {n} with oil, and {word} watch.\n\n" for n, word in enumerate(
    ["owls", "foxes", "wolves", "bats", "moths"]
))  # fmt: skip
FILES = {"a.md": "# Lamps\n\n" + SECTIONS, "b.md": "# Foxes\n\nFoxes run at night.\n", "c.txt": "the of\n"}
THEIRS = ChromaBm25EmbeddingFunction()


@pytest.fixture
async def server(chroma_server):
    async with in_its_own_task(SparseServer(chroma_server).running()) as server:
        yield server


@pytest.fixture
async def parts(tmp_path, server):
    async with in_its_own_task(running(tmp_path / "state", server)) as opened:
        yield opened


async def synced(parts, folder, target, files):
    write(folder, files)
    if await parts.store.sources.by_name("folder") is None:
        settings = FolderSourceSettings(path=str(folder))
        await parts.store.sources.create("folder", target.database, settings, EMBEDDING, CHUNKING, "folder")
    await parts.sync(folder, target)


async def wanted(parts, target):
    """Return the vectors that chromadb's own function gives the texts of all chunks: those with a word only."""
    rows = await parts.chroma.get(target)
    contexts = dict(
        await parts.store.database.read(
            lambda c: c.execute(
                "SELECT d.prefix || '-' || number, context FROM chunks JOIN documents d ON d.id = document_id"
            ).fetchall()
        )
    )
    vectors = {row.id: THEIRS([contexts[row.id] + row.document])[0] for row in rows}
    return {row_id: {KEY: (v.indices, v.values)} for row_id, v in vectors.items() if v.indices}


async def same(server, parts, target) -> bool:
    found = server.vectors[await parts.chroma.collection_id(target)]
    expected = await wanted(parts, target)
    assert found.keys() == expected.keys()
    for row_id, values in expected.items():
        assert found[row_id][KEY][0] == values[KEY][0]
        assert found[row_id][KEY][1] == pytest.approx(values[KEY][1], rel=1e-6)
    return True


async def test_the_collection_holds_chromas_own_sparse_vectors_in_step_with_every_change(
    parts, server, tmp_path, fresh_name
):
    target, folder = Target("default_database", fresh_name), tmp_path / "folder"
    await synced(parts, folder, target, FILES)
    assert await same(server, parts, target)
    assert len(server.vectors[await parts.chroma.collection_id(target)]) > 5
    assert parts.chroma.makes_sparse
    schema = server.schemas[await parts.chroma.collection_id(target)]
    index = schema["keys"][KEY]["sparse_vector"]["sparse_vector_index"]
    assert (index["enabled"], index["config"]["bm25"]) == (True, True)
    assert index["config"]["embedding_function"]["name"] == "chroma_bm25"
    await synced(
        parts, folder, target, {"a.md": "New first line.\n\n" + FILES["a.md"], "b.md": None, "d.md": "# Owls\n\nWho?\n"}
    )
    assert await same(server, parts, target)
    assert not any("Foxes" in row.document for row in await parts.chroma.get(target))
    await parts.index.rebuild(target)
    assert await same(server, parts, target)


async def test_vectors_made_later_reach_the_collection_too(parts, server, tmp_path, fresh_name):
    target, folder = Target("default_database", fresh_name), tmp_path / "folder"
    await synced(parts, folder, target, FILES)
    await parts.store.database.write(lambda c: c.execute("UPDATE postings SET model = 'older'"))
    server.vectors.clear()
    assert await SparseBackfill(parts.store, SparseModels().of, parts.index.flush).fill_all()
    assert await same(server, parts, target)
    assert await parts.store.database.read(lambda c: c.execute("SELECT count(*) FROM outbox").fetchone()) == (0,)


async def test_a_crash_between_store_and_collection_is_made_good(parts, server, tmp_path, fresh_name):
    target, folder = Target("default_database", fresh_name), tmp_path / "folder"
    await synced(parts, folder, target, FILES)
    await parts.store.database.write(lambda c: c.execute("UPDATE postings SET model = 'older'"))
    server.vectors.clear()

    async def dies(_collection_id, _chunk_ids):
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await SparseBackfill(parts.store, SparseModels().of, dies).fill_all()
    await parts.index._recover()
    assert await same(server, parts, target)


async def test_a_collection_made_without_the_index_keeps_them_beside_it(parts, server, tmp_path, fresh_name):
    target, folder = Target("default_database", fresh_name), tmp_path / "folder"
    await parts.chroma.open_collection(target)
    await synced(parts, folder, target, FILES)
    assert server.vectors.get(await parts.chroma.collection_id(target), {}) == {}
    (hit, *_) = await by_words(parts, target, "foxes")
    assert hit.metadata["key"] in ("a.md", "b.md")


async def test_a_single_node_server_refuses_and_they_are_kept_beside(tmp_path, chroma_server, fresh_name):
    target = Target("default_database", fresh_name)
    async with in_its_own_task(running(tmp_path / "state", chroma_server)) as parts:
        await synced(parts, tmp_path / "folder", target, FILES)
        assert parts.chroma.makes_sparse is False
        (hit, *_) = await by_words(parts, target, "foxes")
        assert hit.metadata["key"] in ("a.md", "b.md")


async def by_words(parts, target, text):
    async def embedder(_name):
        return parts.embedder

    return (
        await Search(parts.store, parts.chroma, embedder, SparseModels(), parts.index.damaged).search(
            Query(target, text, "sparse")
        )
    ).hits
