"""Finds out whether a collection accepts writes at all, with a harmless row, before a refusal is believed."""

from __future__ import annotations

import numpy as np

from syncd.errors import SyncdError
from syncd.index.target import VectorStore
from syncd.model import NOTHING, Rows
from syncd.store import Store
from syncd.store.collections import CollectionRecord

PROBE_ID = "syncd-probe"


async def accepts_writes(store: Store, vector_store: VectorStore, record: CollectionRecord) -> bool:
    """Add a row to the collection, delete it again, and return whether both went through.

    If killed in between, the outbox deletes the row. Waits for the vector store; False if either failed for any reason.
    """
    dimensions = await store.outbox.dimensions(record.id)
    vector = [np.eye(1, dimensions, dtype=np.float32)[0]] if dimensions else []
    row = Rows([PROBE_ID], [{"probe": True}], ["syncd asks whether this collection takes writes"], vector)
    await store.outbox.want(record.id, [PROBE_ID])
    try:
        await vector_store.write(record.target, [], row if dimensions else NOTHING, NOTHING)
        await vector_store.write(record.target, [PROBE_ID], NOTHING, NOTHING)
    except SyncdError:
        return False
    await store.outbox.clear(record.id, [PROBE_ID])
    return True
