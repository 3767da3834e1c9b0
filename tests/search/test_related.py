import numpy as np
import pytest

from syncd.errors import NotFoundError, RetryableError
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import Query, Search, SearchHit
from syncd.search.reading import chunk_at
from syncd.search.related import related, unlike_itself
from syncd.store.chunks import FoundChunk
from tests.search.test_search import FILES, keys, searching

__all__ = ["FILES", "searching"]


async def test_what_is_most_like_a_chunk_is_found_by_its_vector_without_itself_and_without_a_model(
    parts, folder, target
):
    async def no_model(_name):
        raise RetryableError("no model")

    engine = Search(parts.store, parts.chroma, no_model, SparseModels(), parts.index.damaged)
    await parts.sync(folder, target)
    record = await parts.store.collections.find(target)
    chunk_id = await chunk_at(parts.store, target, "docs/animals.md", 3)
    answer = await related(engine, parts.store, Query(target, ""), chunk_id)
    assert answer.notices == []
    assert chunk_id not in {hit.id for hit in answer.hits}
    assert len(answer.hits) >= 4
    vectors = await parts.store.chunks.vectors(record.id, [chunk_id, *(hit.id for hit in answer.hits)])
    cosines = [float(np.dot(vectors[chunk_id], vectors[hit.id])) for hit in answer.hits]
    assert [hit.score for hit in answer.hits] == pytest.approx(cosines, abs=1e-5)
    assert cosines == sorted(cosines, reverse=True)
    inside = await related(engine, parts.store, Query(target, "", limit=1, paths=["store/"]), chunk_id)
    assert [key.startswith("store/") for key in keys(inside.hits)] == [True]
    with pytest.raises(NotFoundError, match="hits have their ids"):
        await related(engine, parts.store, Query(target, ""), "nothing-0")
    with pytest.raises(NotFoundError, match="has no line 99"):
        await chunk_at(parts.store, target, "docs/animals.md", 99)
    with pytest.raises(NotFoundError, match=r"did you mean docs/lamp\.md"):
        await chunk_at(parts.store, target, "lamp.md", 1)


async def test_a_chunk_without_a_vector_has_relatives_by_words(parts, folder, target, searching):
    await parts.sync(folder, target)
    chunk_id = await chunk_at(parts.store, target, "docs/lamp.md", 3)
    await parts.store.database.write(lambda c: c.execute("DELETE FROM vectors"))
    answer = await related(searching.engine, parts.store, Query(target, ""), chunk_id)
    assert keys(answer.hits)[0] == "docs/lamp.md"
    assert chunk_id not in {hit.id for hit in answer.hits}
    (notice,) = answer.notices
    assert "by words alone, as it has no vector" in notice


def test_copies_of_the_chunk_are_left_out_and_those_of_others_folded():
    def hit(name, text):
        return SearchHit(id=name, score=1.0, text=text, metadata={})

    chunk = FoundChunk("own-0", "a lamp\n", {}, 1, "written", None, None)
    found = [
        hit("own-0", "a lamp\n"),
        hit("copy-0", "a lamp"),
        hit("b-0", "oil"),
        hit("b-1", "oil\n"),
        hit("c-0", "fire"),
    ]
    kept = unlike_itself(found, chunk)
    assert [(one.id, tuple(one.also)) for one in kept] == [("b-0", ("b-1",)), ("c-0", ())]
