"""Whether a collection takes writes at all: before a refusal is believed, something that nobody could refuse is written."""

from __future__ import annotations

import numpy as np

from syncd.chroma.client import Chroma
from syncd.chroma.rows import NOTHING, Rows
from syncd.errors import SyncdError
from syncd.store import Store
from syncd.store.documents import CollectionRecord

PROBE_ID = "syncd-probe"


async def accepts_writes(store: Store, chroma: Chroma, record: CollectionRecord) -> bool:
    """Add a row to the collection, delete it again, and return whether both went through.

    Killed in between, the outbox deletes the row. Waits for Chroma; False whatever the reason is why it could not be done.
    """
    dimensions = await store.outbox.dimensions(record.id)
    vectors = [np.eye(1, dimensions, dtype=np.float32)[0]] if dimensions else []
    row = Rows([PROBE_ID], [{"probe": True}], ["syncd asks whether this collection takes writes"], vectors)
    await store.outbox.want(record.id, [PROBE_ID])
    try:
        await chroma.write(record.target, [], row if dimensions else NOTHING, NOTHING)
        await chroma.write(record.target, [PROBE_ID], NOTHING, NOTHING)
    except SyncdError:
        return False
    await store.outbox.clear(record.id, [PROBE_ID])
    return True
