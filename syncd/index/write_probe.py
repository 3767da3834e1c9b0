"""Whether a refusal of the vector store is to be believed: with a harmless row it is found out whether a collection accepts writes."""

from __future__ import annotations

import numpy as np

from syncd.errors import RetryableError, SyncdError, TargetRefusedError
from syncd.index.target import VectorStore
from syncd.model import NOTHING, CollectionShape, Rows
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
    # Its space is not worth counting, and nothing that was written was deleted.
    await store.outbox.clear(record.id, await store.outbox.waiting(record.id, [PROBE_ID]), is_freed=True)
    return True


async def opened_collection(vector_store: VectorStore, record: CollectionRecord, shape: CollectionShape) -> str:
    """Open the collection and return its id. A refusal is believed only of a new one, and only if the store responds otherwise."""
    try:
        return await vector_store.open_collection(record.target, shape)
    except TargetRefusedError as error:
        try:
            await vector_store.database_exists(record.target.database)
        except TargetRefusedError:
            raise RetryableError(f"the vector store refuses every request ({error})") from error
        if record.chroma_id is not None:
            raise RetryableError(f"collection {record.target.collection} cannot be opened ({error})") from error
        raise
