"""A new version of the analyser: stored texts get new vectors, and are found all the while with the query of their version."""

from dataclasses import replace

import numpy as np
import pytest

from syncd.errors import RetryableError
from syncd.index import sparse_backfill
from syncd.index.sparse_backfill import SparseBackfill
from syncd.model import Embedding, Target
from syncd.pipeline.sparse.bm25 import code_bm25
from syncd.search.index_cache import IndexCache
from syncd.search.search import encoded_query
from syncd.sources.registry import TYPES
from syncd.store import Store, postings
from syncd.store.changes import NewChunk, Replacement, Urgency
from syncd.store.postings import Posting
from syncd.store.sparse_codec import packed

NEW = code_bm25()
(OLD,) = NEW.predecessors
TEXTS = [f"The fähre number {number} leaves the harbour" for number in range(7)]


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path / "state", TYPES)
    yield opened
    await opened.close()


@pytest.fixture
async def collection(store) -> int:
    return (await store.collections.open(Target("default_database", "docs"), Embedding(model="hash"))).id


async def made_by(encoder, collection: int, key: str, *texts: str) -> Replacement:
    vectors = await encoder.encode(texts, "document")
    chunks = [
        NewChunk(text, "", text.encode(), {}, Posting(encoder.fingerprint, packed(vector)))
        for text, vector in zip(texts, vectors, strict=True)
    ]
    return Replacement(collection, "source", key, f"prefix-of-{key}", "1", "made", "hash", 1, chunks)


async def found(cache, collection: int, query: str) -> int:
    """How many chunks a query finds by words."""
    words = await encoded_query(NEW, query)
    return int((await cache.scored(collection, words.vectors, words.encoder.uses_idf)).scores.astype(bool).sum())


async def flushed_nothing(_collection_id, chunk_ids):
    assert chunk_ids == []


class Stepping:
    """The new encoder; before each page it tells what the collection finds, and it may be away."""

    model, fingerprint, predecessors, uses_idf = NEW.model, NEW.fingerprint, NEW.predecessors, NEW.uses_idf

    def __init__(self, look, pages: int = 100) -> None:
        self._look = look
        self._pages = pages
        self.seen = []

    async def encode(self, texts, role):
        self.seen.append(await self._look())
        if len(self.seen) > self._pages:
            raise RetryableError("away")
        return await NEW.encode(texts, role)


async def models(store) -> dict[str, int]:
    rows = "SELECT model, count(*) FROM postings GROUP BY model"
    return dict(await store.database.read(lambda c: c.execute(rows).fetchall()))


async def filled(store, encoder) -> bool:
    async def encoder_of(_embedding):
        return encoder

    return await SparseBackfill(store, encoder_of, flushed_nothing).fill_all()


@pytest.fixture
async def documents(store, collection, monkeypatch):
    """Seven chunks of the earlier version, of which four are written and three prepared; pages of two chunks."""
    monkeypatch.setattr(sparse_backfill, "PAGE_CHUNKS", 2)
    await store.documents.stage([await made_by(OLD, collection, "written", *TEXTS[:4])])
    return await store.prepared.put(await made_by(OLD, collection, "prepared", *TEXTS[4:]), "hash-1", Urgency.BACKFILL)


async def test_every_chunk_is_found_at_every_moment_and_has_one_vector(store, collection, documents):
    cache = IndexCache(store.postings, store.words)

    async def look():
        assert sum((await models(store)).values()) == len(TEXTS)
        return await found(cache, collection, "harbour")

    stepping = Stepping(look)
    assert await found(cache, collection, "fahre") == 0
    assert await filled(store, stepping)
    assert stepping.seen == [len(TEXTS)] * 4
    assert await models(store) == {NEW.fingerprint: len(TEXTS)}
    assert await found(cache, collection, "fahre") == len(TEXTS)
    assert await found(cache, collection, "harbour") == len(TEXTS)
    assert await found(IndexCache(store.postings, store.words), collection, "fahre") == len(TEXTS)


async def test_it_goes_on_where_it_was_stopped_and_then_has_nothing_to_do(store, collection, documents):
    cache = IndexCache(store.postings, store.words)

    async def look():
        return await found(cache, collection, "harbour")

    assert not await filled(store, Stepping(look, pages=2))
    assert await models(store) == {NEW.fingerprint: 3, OLD.fingerprint: 4}
    assert await found(cache, collection, "harbour") == len(TEXTS)
    rest = Stepping(look)
    assert await filled(store, rest)
    assert len(rest.seen) == 2
    idle = Stepping(look)
    assert await filled(store, idle)
    assert idle.seen == []


@pytest.mark.parametrize("at_once", [1, 3])
async def test_no_read_looks_at_more_than_some_documents_and_none_is_left_out(store, collection, monkeypatch, at_once):
    monkeypatch.setattr(postings, "DOCUMENTS_AT_ONCE", at_once)
    monkeypatch.setattr(sparse_backfill, "PAGE_CHUNKS", 3)
    other = (await store.collections.open(Target("default_database", "other"), Embedding(model="hash"))).id
    for number, text in enumerate(TEXTS):
        await store.documents.stage([await made_by(NEW, collection, f"new-{number}", text)])
        await store.documents.stage([await made_by(OLD, other, f"other-{number}", text)])
        await store.documents.stage([await made_by(OLD, collection, f"old-{number}", *TEXTS[: number % 5])])
    read = await store.postings.unposted(collection, NEW.fingerprint, (0, -1), 100)
    assert len(read.chunks) <= 2 * at_once
    assert await filled(store, NEW)
    assert set(await models(store)) == {NEW.fingerprint}


async def test_a_prepared_document_is_written_with_its_new_vector(store, collection, documents):
    assert await filled(store, NEW)
    await store.prepared.embedded({text.encode(): np.ones(2, np.float32) for text in TEXTS[4:]}, {})
    await store.documents.stage([documents.promotion])
    assert await models(store) == {NEW.fingerprint: len(TEXTS)}


async def test_a_changed_text_is_not_given_the_vector_of_the_one_before(store, collection, documents):
    (row,) = (await store.postings.unposted(collection, NEW.fingerprint, (0, -1), 1)).chunks
    (vector,) = await NEW.encode([row.text], "document")
    await store.postings.fill(
        collection, NEW.fingerprint, [(replace(row, text="another"), packed(vector))], flush=False
    )
    assert await models(store) == {OLD.fingerprint: len(TEXTS)}


async def test_nothing_that_another_model_made_is_searched_with_this_ones_query(store, collection):
    change = await made_by(OLD, collection, "a", TEXTS[0])
    chunks = [
        replace(chunk, posting=chunk.posting and replace(chunk.posting, model="another#1")) for chunk in change.chunks
    ]
    await store.documents.stage([replace(change, chunks=chunks)])
    cache = IndexCache(store.postings, store.words)
    assert await found(cache, collection, "harbour") == 0
    assert await filled(store, NEW)
    assert await found(cache, collection, "harbour") == 1
