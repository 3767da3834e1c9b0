"""Search over a collection that is really synced: words, meaning, both; filters, pages, groups, and changes in between."""

import unicodedata
from dataclasses import replace

import anyio
import pytest

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.index.sparse_backfill import SparseBackfill
from syncd.model import Embedding, EmbeddingTask
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import Fusion, Query, Search, SearchOptions
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.settings import FolderSourceSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.sync.deletes import DeleteGuard
from tests.pipeline.parts import CHUNKING, MODEL, write

FILES = {
    "store/client.py": "def getOrCreateCollection(name):\n    return make(name)\n",
    "store/server.py": "def listen(port):\n    return open_socket(port)\n",
    "docs/lamp.md": "# Lamps\n\nThe keeper lights the lamp at dusk.\n\n## Oil\n\nEvery lamp needs oil, and the keeper fills it.\n",
    "docs/animals.md": "# Foxes\n\nFoxes run at night.\n",
}


@pytest.fixture
def searching(parts, target):
    """Search by words unless told otherwise, and answer with the hits' keys."""

    async def embedder(_name):
        return parts.embedder

    engine = Search(parts.store, parts.chroma, embedder, SparseModels(), parts.index.damaged)

    async def find(text, **options):
        return (await engine.search(Query(**{"target": target, "text": text, "mode": "sparse", **options}))).hits

    find.engine = engine
    return find


def keys(hits) -> list[str]:
    return [hit.metadata["key"] for hit in hits]


async def test_words_find_identifiers_with_lineage_highlights_and_freshness(parts, folder, target, searching):
    await parts.sync(folder, target)
    (hit,) = await searching("get or create collection")
    assert hit.metadata["key"] == "store/client.py"
    assert hit.metadata["start_line"] == 1
    assert [hit.text[start:end] for start, end in hit.highlights] == ["getOrCreateCollection"]
    assert hit.recorded_at > 0
    assert (hit.sparse_rank, hit.dense_rank) == (1, None)


async def test_what_changes_is_found_at_once_and_what_goes_is_not(parts, folder, target, searching):
    await parts.sync(folder, target)
    assert keys(await searching("foxes")) == ["docs/animals.md"]
    write(
        folder,
        {"docs/animals.md": "# Wolves\n\nWolves howl.\n", "store/server.py": None, "new.md": "# Foxes\n\nAgain.\n"},
    )
    await parts.sync(folder, target)
    assert keys(await searching("foxes")) == ["new.md"]
    assert keys(await searching("wolves")) == ["docs/animals.md"]
    assert await searching("listen socket") == []


async def test_postings_are_as_many_as_chunks_whatever_happens(parts, folder, target, searching):
    await parts.sync(folder, target)
    write(folder, {"docs/lamp.md": "# New first\n\nLine.\n\n" + FILES["docs/lamp.md"]})
    await parts.sync(folder, target)
    assert await misfits(parts) == 0
    record = await parts.store.collections.find(target)
    statement = "DELETE FROM documents WHERE collection_id = ?"
    await parts.store.database.write(lambda c: c.execute(statement, (record.id,)))
    assert await parts.store.database.read(lambda c: c.execute("SELECT count(*) FROM postings").fetchone()) == (0,)
    assert await searching("lamp") == []


async def misfits(parts) -> int:
    """Count chunks without posting and postings without chunk."""
    statement = (
        "SELECT (SELECT count(*) FROM chunks c LEFT JOIN postings p USING (document_id, number) WHERE p.id IS NULL) + "
        "(SELECT count(*) FROM postings p LEFT JOIN chunks c USING (document_id, number) WHERE c.text IS NULL)"
    )
    return (await parts.store.database.read(lambda c: c.execute(statement).fetchone()))[0]


async def test_shifted_lines_leave_postings_alone(parts, folder, target):
    await parts.sync(folder, target)
    before = await posting_ids(parts)
    write(folder, {"store/client.py": "import make\n\n\n" + FILES["store/client.py"]})
    await parts.sync(folder, target)
    assert len(before - await posting_ids(parts)) <= 1


async def posting_ids(parts) -> set[int]:
    return {i for (i,) in await parts.store.database.read(lambda c: c.execute("SELECT id FROM postings").fetchall())}


async def test_a_rebuilt_collection_keeps_its_postings(parts, folder, target, searching):
    await parts.sync(folder, target)
    before = await searching("lamp")
    await parts.index.rebuild(target)
    assert await searching("lamp") == before


async def test_a_second_collection_of_the_same_documents_gets_its_own(parts, folder, target, searching):
    await parts.sync(folder, target)
    other = replace(target, collection=target.collection + "-two")
    await parts.sync(folder, other)
    assert [hit.id for hit in await searching("lamp", target=other)] == [hit.id for hit in await searching("lamp")]


async def test_filters_narrow_every_mode(parts, folder, target, searching):
    await parts.sync(folder, target)
    record = await parts.source(folder)
    for mode in ("dense", "sparse", "hybrid"):
        text = "keeper of the lamp, foxes, port"
        assert set(keys(await searching(text, mode=mode, paths=["docs/"]))) == {"docs/lamp.md", "docs/animals.md"}
        assert set(keys(await searching(text, mode=mode, paths=["*/server.p?"]))) == {"store/server.py"}
        assert set(keys(await searching(text, mode=mode, where={"key": "docs/animals.md"}))) == {"docs/animals.md"}
        assert set(keys(await searching(text, mode=mode, where_document={"$contains": "oil"}))) == {"docs/lamp.md"}
        assert await searching(text, mode=mode, paths=["nowhere/"]) == []
        assert await searching(text, mode=mode, source_ids=["another"]) == []
        assert await searching(text, mode=mode, source_ids=[record.id])
        both = await searching(text, mode=mode, paths=["docs/"], where={"key": {"$ne": "docs/animals.md"}})
        assert set(keys(both)) == {"docs/lamp.md"}


@pytest.fixture
async def crowded(parts, target, tmp_path, monkeypatch):
    """Two sources' documents in one collection: more than are named in a filter of one, and more than are examined of the other,
    which has all the nearest ones.
    """
    monkeypatch.setattr("syncd.search.rankings.KEYS_IN_FILTER", 2)
    monkeypatch.setattr("syncd.search.rankings.MAX_EXAMINED", 8)
    near = {f"near/{n}.md": "A fox.\n" for n in range(12)} | {f"far/{n}.md": "A fox.\n" for n in range(6)}
    await synced(parts, target, tmp_path / "near", near)
    return await synced(parts, target, tmp_path / "far", {f"far/{n}.md": f"Lamp {n}.\n" for n in range(6)})


async def synced(parts, target, folder, files):
    """Sync files into a collection as a source of their own, with vectors of nothing but their texts, and return it."""
    write(folder, files)
    settings, chunking = FolderSourceSettings(path=str(folder)), replace(CHUNKING, breadcrumb=False)
    record = await parts.store.sources.create("folder", target.database, settings, MODEL, chunking, folder.name)
    invocation = await parts.invocation(record, target)
    run = await parts.begin(record, invocation, DeleteGuard())
    await run.execute(FolderTreeSource(FolderSettings(folder.name, folder)))
    await parts.store.invocations.settle(invocation.id, "complete", run.counts)
    return record


async def test_a_semantic_search_finds_what_its_filters_select_however_much_else_is_nearer(searching, crowded):
    asked = {"mode": "dense", "limit": 6}
    of_source = await searching("A fox.\n", source_ids=[crowded.id], **asked)
    assert sorted(keys(of_source)) == [f"far/{n}.md" for n in range(6)]
    assert {hit.metadata["source_id"] for hit in of_source} == {crowded.id}
    assert [hit.score for hit in of_source] == sorted((hit.score for hit in of_source), reverse=True)
    assert await searching("A fox.\n", source_ids=[crowded.id], paths=["far/"], **asked) == of_source
    by_path = await searching("A fox.\n", paths=["far/"], mode="dense", limit=12)
    assert sorted(keys(by_path)) == sorted(2 * [f"far/{n}.md" for n in range(6)])
    (hybrid,) = await searching("Lamp 3.\n", source_ids=[crowded.id], mode="hybrid", limit=1)
    assert (hybrid.metadata["key"], hybrid.dense_rank is not None) == ("far/3.md", True)


async def test_a_semantic_search_that_cannot_compare_all_it_selects_in_time_says_so(
    parts, target, searching, crowded, monkeypatch
):
    wanted = Query(target, "A fox.\n", limit=6, source_ids=[crowded.id])
    assert (await searching.engine.search(wanted)).notices == []
    monkeypatch.setattr("syncd.search.rankings.KEYS_AT_ONCE", 3)
    assert len((await searching.engine.search(wanted)).hits) == 6
    monkeypatch.setattr("syncd.search.rankings.GOING_ON_S", 0.0)
    hurried = await searching.engine.search(wanted)
    assert hurried.hits == []
    (notice,) = hurried.notices
    assert "0% of the documents that the filters select" in notice


async def test_brackets_in_a_path_mean_themselves(parts, tmp_path, target, searching):
    write(tmp_path / "other", {"app/[id]/page.md": "# Page\n\nA page.\n", "app/i/page.md": "# Page\n\nNo page.\n"})
    await parts.sync(tmp_path / "other", target)
    assert set(keys(await searching("page", paths=["app/[id]/"]))) == {"app/[id]/page.md"}


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
async def test_pages_tile_the_ranking(parts, folder, target, searching, mode):
    await parts.sync(folder, target)
    text = "the keeper fills the lamp, foxes run, return port and name"
    whole = [hit.id for hit in await searching(text, mode=mode, limit=50)]
    assert len(whole) >= 4
    paged = [hit.id for start in range(len(whole)) for hit in await searching(text, mode=mode, limit=1, offset=start)]
    assert paged == whole
    assert await searching(text, mode=mode, offset=len(whole)) == []


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
async def test_groups_show_each_document_once(parts, folder, target, searching, mode):
    await parts.sync(folder, target)
    text = "lamp keeper foxes oil"
    single = await searching(text, mode=mode, limit=50)
    groups = await searching(text, mode=mode, limit=50, group=True)
    assert len(set(keys(groups))) == len(groups) < len(single)
    assert sorted(hit.id for hit in single) == sorted([*(h.id for h in groups), *(i for h in groups for i in h.also)])


async def test_hits_fill_a_budget_and_the_answer_says_where_to_go_on(parts, folder, target, searching):
    await parts.sync(folder, target)
    engine = searching.engine
    wanted = Query(target, "lamp keeper foxes oil", "sparse", limit=50)
    whole = await engine.search(wanted)
    assert whole.next_offset is None
    filled = await engine.search(replace(wanted, max_tokens=60))
    assert [hit.id for hit in filled.hits] == [hit.id for hit in whole.hits][: len(filled.hits)]
    assert filled.next_offset == len(filled.hits) < len(whole.hits)
    following = await engine.search(replace(wanted, offset=filled.next_offset))
    assert [hit.id for hit in following.hits] == [hit.id for hit in whole.hits][filled.next_offset :]


async def test_hybrid_is_the_fusion_of_both(parts, folder, target, searching):
    await parts.sync(folder, target)
    dense, sparse = [await searching("lamp keeper", mode=mode, limit=50) for mode in ("dense", "sparse")]
    hybrid = await searching("lamp keeper", mode="hybrid", limit=50, fusion=Fusion(dense=0.5, sparse=2.0, k=10))
    places = [{hit.id: rank for rank, hit in enumerate(hits, 1)} for hits in (dense, sparse)]
    for hit in hybrid:
        assert (hit.dense_rank, hit.sparse_rank) == (places[0].get(hit.id), places[1].get(hit.id))
        parts_of_score = [w / (10 + p[hit.id]) for w, p in zip((0.5, 2.0), places, strict=True) if hit.id in p]
        assert hit.score == pytest.approx(sum(parts_of_score))
    assert [hit.score for hit in hybrid] == sorted((hit.score for hit in hybrid), reverse=True)


async def test_a_query_of_stop_words_finds_what_has_them_by_words_too(parts, folder, target, searching):
    await parts.sync(folder, target)
    assert all("the" in hit.text.lower() for hit in await searching("the"))
    assert await searching("what is the")
    assert await searching("what is the", mode="hybrid")


async def test_words_are_found_however_files_write_them(parts, folder, target, searching):
    write(
        folder,
        {
            "plan.html": "<h1>Plan</h1><p>Gesamt&shy;konzept der Hafen\u00adverwaltung, ein Wert&#8203;papier</p>",
            "ferry.md": unicodedata.normalize("NFD", "# Überfahrt\n\nDie Fähre über den Øresund.\n"),
            "guide.md": "# 指南\n\n使用Chroma数据库\n",
        },
    )
    await parts.sync(folder, target)
    for key, words in {
        "plan.html": "Gesamtkonzept hafenverwaltung Wertpapier",
        "ferry.md": "Fähre Überfahrt fahre ÜBERFAHRT oresund",
        "guide.md": "chroma 数据库 指南",
    }.items():
        for word in words.split():
            assert keys(await searching(word)) == [key], word


async def test_chunks_from_before_get_postings_and_other_models_replace_them(parts, folder, target, searching):
    await parts.sync(folder, target)
    await parts.store.database.write(lambda c: c.execute("DELETE FROM postings WHERE number = 0"))
    assert await misfits(parts) > 0
    assert await SparseBackfill(parts.store, SparseModels().of, parts.index.flush).fill_all()
    assert await misfits(parts) == 0
    assert keys(await searching("get or create collection")) == ["store/client.py"]
    assert await SparseBackfill(parts.store, SparseModels("Chroma/BM25").of, parts.index.flush).fill_all()
    models = await parts.store.database.read(lambda c: c.execute("SELECT DISTINCT model FROM postings").fetchall())
    assert models == [("Chroma/BM25#1",)]
    assert await misfits(parts) == 0
    assert await searching("lamp") == []


async def test_collections_without_sparse_vectors_say_so(parts, folder, target):
    await parts.sync(folder, target)

    async def embedder(_name):
        return parts.embedder

    without = Search(parts.store, parts.chroma, embedder, SparseModels("none"), parts.index.damaged)
    with pytest.raises(PermanentError, match="sparse_default"):
        await without.search(Query(target, "lamp", "hybrid"))
    assert (await without.search(Query(target, "lamp", "dense"))).hits


async def test_a_search_by_meaning_never_waits_for_a_sparse_model_nor_fails_for_it(parts, folder, target):
    await parts.sync(folder, target)

    async def embedder(_name):
        return parts.embedder

    async def away():
        raise RetryableError("cannot download it")

    models = SparseModels("learned", {"learned": away})
    search = Search(parts.store, parts.chroma, embedder, models, parts.index.damaged)
    assert (await search.search(Query(target, "lamp", "dense"))).hits
    with pytest.raises(RetryableError):
        await search.search(Query(target, "lamp", "hybrid"))


async def test_a_hybrid_search_goes_by_words_alone_and_says_so_while_the_model_is_away(
    parts, folder, target, searching
):
    await parts.sync(folder, target)

    async def away(_name):
        raise RetryableError("the model is restarting")

    search = Search(parts.store, parts.chroma, away, SparseModels(), parts.index.damaged)
    answer = await search.search(Query(target, "foxes", "hybrid"))
    assert keys(answer.hits) == keys(await searching("foxes")) == ["docs/animals.md"]
    assert [hit.dense_rank for hit in answer.hits] == [None]
    (notice,) = answer.notices
    assert "by words alone" in notice
    assert "the model is restarting" in notice
    with pytest.raises(RetryableError):
        await search.search(Query(target, "foxes", "dense"))


async def test_a_query_waits_no_longer_than_its_limit_for_a_model_that_hangs(parts, folder, target):
    await parts.sync(folder, target)

    class Hanging:
        async def embed(self, texts, role, task):
            await anyio.sleep_forever()

    async def loading(_name):
        await anyio.sleep_forever()

    async def hanging(_name):
        return Hanging()

    for embedder in (loading, hanging):
        search = Search(
            parts.store, parts.chroma, embedder, SparseModels(), parts.index.damaged, SearchOptions(limit_s=0.05)
        )
        answer = await search.search(Query(target, "foxes", "hybrid"))
        assert keys(answer.hits) == ["docs/animals.md"]
        assert "longer than 0.05 s (search.limit_s)" in answer.notices[0]
    with pytest.raises(RetryableError, match="longer than"):
        await search.search(Query(target, "foxes", "dense"))


async def test_queries_are_embedded_as_queries_with_the_collections_own_task(parts, target):
    asked = []

    class Listening:
        async def embed(self, texts, role, task):
            asked.append((list(texts), role, task))
            return await parts.embedder.embed(texts, role, task)

    async def embedder(name):
        asked.append(name)
        return Listening()

    task = EmbeddingTask("docs", query_prompt="Find the page")
    await parts.store.collections.open(target, Embedding("a-model", task))
    vectors = await Search(parts.store, parts.chroma, embedder, SparseModels(), parts.index.damaged).embed(
        target, ["one", "two"]
    )
    assert vectors.shape == (2, 8)
    assert asked == ["a-model", (["one", "two"], "query", task)]


async def test_unknown_collections_models_and_filters_are_refused(parts, folder, target, searching):
    with pytest.raises(NotFoundError):
        await searching("lamp")
    await parts.sync(folder, target)
    with pytest.raises(PermanentError):
        await searching("lamp", where={"key": {"$almost": "x"}})
    with pytest.raises(PermanentError):
        await searching("lamp", mode="hybrid", where={"key": {"$almost": "x"}})
    with pytest.raises(PermanentError, match="unknown sparse model"):
        await SparseModels().of(Embedding(sparse_model="other"))


async def test_rows_that_syncd_did_not_write_are_found_too(parts, folder, target, searching):
    await parts.sync(folder, target)
    (vector,) = (await parts.embedder.embed(["my own words"], "query")).vectors
    collection = await parts.chroma._collection(target)
    await collection.add(
        ids=["mine"], embeddings=[vector.tolist()], documents=["my own words"], metadatas=[{"by": "me"}]
    )
    (hit,) = await searching("my own words", mode="dense", limit=1)
    assert (hit.id, hit.text, hit.metadata, hit.recorded_at) == ("mine", "my own words", {"by": "me"}, None)


CODE = {
    "tests/test_client.py": "def test_get_or_create_collection():\n    assert get_or_create_collection('a') == get_or_create_collection('a')\n",
    "store/client.py": "class Client:\n    def get_or_create_collection(self, name):\n        return self.make(name)\n",
}


async def test_code_is_ordered_by_rules_in_every_ranking_with_words_and_prose_is_not(
    parts, folder, target, searching, tmp_path
):
    write(folder, {**dict.fromkeys(FILES), **CODE})
    await parts.sync(folder, target)
    query = "get_or_create_collection"
    assert keys(await searching(query, rules=frozenset()))[0] == "tests/test_client.py"
    for mode in ("sparse", "hybrid"):
        assert keys(await searching(query, mode=mode))[0] == "store/client.py"
    plain = await searching("collection tests", mode="dense")
    assert [hit.score for hit in plain] == sorted((hit.score for hit in plain), reverse=True)
    assert keys(await searching(query, mode="dense", rules=frozenset({"tests"})))[0] == "store/client.py"
    prose = replace(target, collection=target.collection + "-prose")
    write(tmp_path / "prose", {"docs/lamp.md": FILES["docs/lamp.md"], "lamp.md": "# Lamps\n\nA lamp.\n"})
    await parts.sync(tmp_path / "prose", prose)
    for mode in ("sparse", "hybrid"):
        assert await searching("keeper lamp", target=prose, mode=mode) == await searching(
            "keeper lamp", target=prose, mode=mode, rules=frozenset()
        )


async def test_languages_content_several_paths_and_time_narrow_every_mode(parts, folder, target, searching):
    write(folder, {"package.json": '{"name": "lamp", "port": 1}\n'})
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    changed = "UPDATE documents SET changed_at = 100.0 WHERE collection_id = ? AND key = 'docs/lamp.md'"
    await parts.store.database.write(lambda c: c.execute(changed, (record.id,)))
    text = "keeper of the lamp, foxes, port, name"

    for mode in ("dense", "sparse", "hybrid"):

        async def found(mode=mode, **wanted):
            return set(keys(await searching(text, mode=mode, **wanted)))

        assert await found(languages=["python"]) == {"store/client.py", "store/server.py"}
        assert await found(languages=["python"], where={"key": "store/server.py"}) == {"store/server.py"}
        assert await found(content="code") == {"store/client.py", "store/server.py"}
        assert await found(content="docs") == {"docs/lamp.md", "docs/animals.md"}
        assert await found(content="config") == {"package.json"}
        assert await found(paths=["docs/l", "*.json"]) == {"docs/lamp.md", "package.json"}
        assert await found(modified_after=100.0) == {"docs/lamp.md"}
        assert await found(modified_after=101.0) == set()
