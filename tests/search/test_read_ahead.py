"""Collections whose words nobody has read for long are read before the next search."""

from syncd.model import Embedding, Target
from syncd.pipeline.sparse.bm25 import code_bm25
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search import index_cache
from syncd.search.read_ahead import ReadAhead
from syncd.search.search import Search
from syncd.sources.registry import TYPES
from syncd.store import Store
from tests.index.test_sparse_backfill import TEXTS, made_by
from tests.memory_target import MemoryTarget


async def test_every_collection_that_is_far_behind_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(index_cache, "MAX_ROWS_BEHIND", 4)
    monkeypatch.setattr(index_cache, "MAX_ROWS_IN_MEMORY", 2)
    store, sparse, encoder = await Store.open(tmp_path, TYPES), SparseModels(), code_bm25()
    large, small = [
        (await store.collections.open(Target("default_database", name), Embedding(model="hash"))).id
        for name in ("large", "small")
    ]
    await store.documents.stage([await made_by(encoder, large, "large", *TEXTS)])
    await store.documents.stage([await made_by(encoder, small, "small", *TEXTS[:4])])
    await sparse.of(Embedding(model="hash"))
    models = [one.fingerprint for one in (encoder, *encoder.predecessors)]
    search = Search(store, MemoryTarget(), None, sparse, None)
    await ReadAhead(store, search).look()
    assert await store.words.seen(large, models) == len(TEXTS)
    assert await store.words.seen(small, models) == 0
    await store.close()
