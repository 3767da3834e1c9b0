"""Makes the stored sources equal to those declared in the configuration file."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from syncd.model import SourceRecord, Target
from syncd.sources.table import SourceTable
from syncd.store import Store

log = structlog.get_logger()


async def reconcile(store: Store, declared: Sequence[SourceTable], default_model: str) -> None:
    """Create, update and remove declared sources; those created through the API are not touched. Twice is safe.

    A source whose type changed is removed and created again, since nothing of the old one can be reused.
    """
    stored = await store.sources.declared()
    for table in declared:
        record = stored.pop(table.name, None)
        if record is not None and record.type != table.source_type:
            await remove(store, record)
            record = None
        await create_or_replace(store, table, record, default_model)
    for record in stored.values():
        await remove(store, record)


async def create_or_replace(store: Store, table: SourceTable, record: SourceRecord | None, default_model: str) -> None:
    """Bring one declared source up to date."""
    settings, embedding, chunking = table.settings(), table.embedding(default_model), table.chunking.to_model()
    if record is None:
        await store.sources.create(table.source_type, table.database, settings, embedding, chunking, table.name)
        log.info("source.created", source=table.name, type=table.source_type)
        return
    now = (record.database, record.settings, record.embedding, record.chunking)
    if now != (table.database, settings, embedding, chunking):
        target = Target(table.database, table.collection)
        if await store.refills.reshape(target, record.id, record.embedding, embedding):
            log.info("collection.reshaped", collection=table.collection, dimensions=embedding.dimensions)
        await store.sources.replace(record, table.database, settings, embedding, chunking)
        log.info("source.updated", source=table.name)


async def remove(store: Store, record: SourceRecord) -> None:
    """Delete a source that is no longer declared; what it has indexed stays in its collection."""
    await store.sources.delete(record.id)
    log.info("source.removed", source=record.name)
