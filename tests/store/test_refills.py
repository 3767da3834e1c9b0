from syncd.store.refills import _BLOAT
from tests.store.test_prepared import store

__all__ = ["store"]


async def test_chunks_are_counted_without_reading_their_texts(store):
    plan = await store.database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {_BLOAT}").fetchall())
    assert any("COVERING INDEX chunks_by_document" in row[3] for row in plan)
