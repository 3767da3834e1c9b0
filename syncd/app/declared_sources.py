"""Makes the stored sources equal to those declared in the configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from syncd.model import DamagedSettings, SourceRecord, SourceSettings, Target
from syncd.model.records import in_same_place
from syncd.sources.table import SourceTable
from syncd.store import Store

log = structlog.get_logger()


async def reconcile(store: Store, declared: Sequence[SourceTable], default_model: str) -> None:
    """Create, update, rename and remove declared sources; those created through the API are not touched. Twice is safe.

    A name that is new for the place of one that is gone is that source's new name. A source whose type changed is removed
    and created again, since nothing of the old one can be reused. One whose stored row is damaged is written again.
    """
    stored = await store.sources.declared()
    known = {table.name: stored.pop(table.name) for table in declared if table.name in stored}
    for name, record in list(stored.items()):
        if isinstance(record.settings, DamagedSettings):
            # Its name may be what is damaged: what has its place now takes over what it leaves.
            await remove_undeclared(store, stored.pop(name))
    for table in declared:
        record = known.get(table.name) or renamed(table, stored)
        if record is not None and isinstance(record.settings, DamagedSettings):
            record = replace(record, type=table.source_type)
        if record is not None and record.type != table.source_type:
            await remove_undeclared(store, record)
            record = None
        await create_or_replace(store, table, record, default_model)
    for record in stored.values():
        await remove_undeclared(store, record)


def renamed(table: SourceTable, gone: dict[str, SourceRecord]) -> SourceRecord | None:
    """Take the source that had another name out of those that are gone, and return it; None if this one is new."""
    candidates = [
        (record, record.settings)
        for record in gone.values()
        if (record.type, record.database) == (table.source_type, table.database)
    ]
    found = in_same_place(table.settings(), candidates)
    return gone.pop(str(found.name)) if found else None


async def create_or_replace(store: Store, table: SourceTable, record: SourceRecord | None, default_model: str) -> None:
    """Bring one declared source up to date."""
    settings, embedding, chunking = table.settings(), table.embedding(default_model), table.chunking.to_model()
    if record is None:
        await store.sources.create(table.source_type, table.database, settings, embedding, chunking, table.name)
        log.info("source.created", source=table.name, type=table.source_type)
        return note(table.name, settings)
    now = (record.name, record.database, record.settings, record.embedding, record.chunking)
    if now != (table.name, table.database, settings, embedding, chunking):
        target = Target(table.database, table.collection)
        if await store.refills.reshape(target, record.id, record.embedding, embedding):
            log.info("collection.reshaped", collection=table.collection, dimensions=embedding.dimensions)
        await store.sources.replace(record, table.database, settings, embedding, chunking, table.name)
        log.info("source.updated", source=table.name, former_name=None if record.name == table.name else record.name)
        note(table.name, settings)
    return None


def note(name: str, settings: SourceSettings) -> None:
    """Log what of a source's settings may mean something else than they seem to."""
    if settings.notice:
        log.warning("source.notice", source=name, notice=settings.notice)


async def remove_undeclared(store: Store, record: SourceRecord) -> None:
    """Delete a source that is no longer declared; what it has indexed stays in its collection."""
    await store.sources.delete(record.id)
    log.info("source.removed", source=record.name)
