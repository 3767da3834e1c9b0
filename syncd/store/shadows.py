"""Collections that are built to take another one's place while that one answers, or that had it and are kept for a while.

begin  →  (runs fill it)  →  judged  →  decide  →  (the vector store renames both)  →  switched  →  (kept)  →  discard  →  forget

What is decided is carried out after a crash too: both are renamed again, until `switched` is recorded.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from syncd.model import Embedding, SourceRecord, Target
from syncd.store.database import Database
from syncd.store.invocation_codec import IS_WHOLE_RUN
from syncd.store.place_losses import require_no_loss
from syncd.store.recipes import Recipe, read_recipe
from syncd.store.shadow_rows import (
    SELECT_SHADOWS,
    Shadow,
    ShadowState,
    ask_whole,
    change_places,
    discard_shadow,
    insert_shadow,
    name_beside,
    remove_documents,
    shadow_from_row,
)

_FIT = (
    "SELECT l.name FROM shadows h JOIN collections c ON c.id = h.collection_id JOIN collections l ON l.id = h.live_id "
    "WHERE h.collection_id = ? AND h.state <> 'discarded' AND c.chroma_id IS NOT NULL AND l.chroma_id IS NOT NULL "
    "AND c.rebuilding IS NULL AND l.rebuilding IS NULL"
)
_MISSING = (
    "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT 1 FROM documents s WHERE s.collection_id = ?2 AND "
    "s.source_id = l.source_id AND s.key = l.key AND s.state = 'indexed')) FROM documents l "
    "WHERE l.collection_id = ?1 AND l.state = 'indexed'"
)
_LATEST = (
    "SELECT state, coalesce(error, '') FROM invocations WHERE source_id = ? AND database = ? AND collection = ? "
    f"AND {IS_WHOLE_RUN} ORDER BY seq DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Built:
    """How far a shadow is: documents of the one that answers, those of them that it lacks, and why it is not complete, or ''.

    `is_unfinished`: the latest whole run of some source waits, is under way, or was put off.
    """

    documents: int
    missing: int
    lacks: str
    is_unfinished: bool = False

    @property
    def share(self) -> float:
        """The share of the documents that it has."""
        return 1.0 - self.missing / self.documents if self.documents else 1.0


class Shadows:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def all(self) -> Sequence[Shadow]:
        """Return every shadow, the latest first."""
        statement = f"{SELECT_SHADOWS} ORDER BY h.since DESC"
        return await self._db.read(lambda c: [shadow_from_row(row) for row in c.execute(statement)])

    async def home_of(self, target: Target) -> Target:
        """Return under which name a collection is to answer: of one that is no shadow, its own."""
        statement, place = f"{SELECT_SHADOWS} WHERE c.database = ? AND c.name = ?", (target.database, target.collection)
        found = await self._db.read(lambda c: [shadow_from_row(row) for row in c.execute(statement, place)])
        return found[0].live if found else target

    async def is_switching(self, collection_id: int) -> bool:
        """Return whether it is decided, and not recorded as done, that a collection changes places with another one."""
        statement = "SELECT 1 FROM shadows WHERE state = 'switching' AND ? IN (collection_id, live_id)"
        return await self._db.read(lambda c: c.execute(statement, (collection_id,)).fetchone() is not None)

    async def recipe(self, source_id: str, target: Target) -> Recipe | None:
        """Return how a source's documents are made in a collection, if its settings say otherwise by now."""
        statement = "SELECT id FROM collections WHERE database = ? AND name = ?"

        def query(connection: sqlite3.Connection) -> Recipe | None:
            row = connection.execute(statement, (target.database, target.collection)).fetchone()
            return read_recipe(connection, source_id, row[0]) if row else None

        return await self._db.read(query)

    async def changed(self) -> Sequence[int]:
        """Return the collections of whose sources one is set to something else, and nobody has decided about that."""
        statement = (
            "SELECT DISTINCT collection_id FROM kept_recipes WHERE NOT is_decided AND collection_id NOT IN "
            "(SELECT collection_id FROM shadows) ORDER BY 1"
        )
        return await self._db.read(lambda c: [ident for (ident,) in c.execute(statement)])

    async def sources_of(self, collection_id: int) -> Sequence[str]:
        """Return the ids of the sources, removed ones too, that have documents in a collection."""
        statement = (
            "SELECT source_id FROM documents WHERE collection_id = ?1 AND state = 'indexed' UNION "
            "SELECT source_id FROM prepared WHERE collection_id = ?1 UNION "
            "SELECT source_id FROM kept_recipes WHERE collection_id = ?1 ORDER BY 1"
        )
        return await self._db.read(lambda c: [ident for (ident,) in c.execute(statement, (collection_id,))])

    async def begin(self, live_id: int, target: Target, embedding: Embedding, sources: Sequence[SourceRecord]) -> None:
        """Begin a shadow of a collection, and ask its sources to fill it. Twice is safe: the first one stays."""
        await self._db.write(lambda c: insert_shadow(c, live_id, target, embedding, sources))

    async def ask_again(self, source: SourceRecord, target: Target) -> None:
        """Ask a source for a whole run into a collection. Twice is safe."""
        await self._db.write(lambda c: ask_whole(c, source, target))

    async def built(self, shadow: Shadow, source_ids: Sequence[str]) -> Built:
        """Return how far a shadow is; it is complete when the latest whole run of each source has seen all and is over."""
        place = (shadow.target.database, shadow.target.collection)

        def query(connection: sqlite3.Connection) -> Built:
            documents, missing = connection.execute(_MISSING, (shadow.live_id, shadow.collection_id)).fetchone()
            ends = [connection.execute(_LATEST, (ident, *place)).fetchone() or ("pending", "") for ident in source_ids]
            lacking = [error or state for state, error in ends if error or state != "complete"]
            is_unfinished = any(state in ("pending", "processing") for state, _ in ends)
            return Built(documents, missing, lacking[0] if lacking else "", is_unfinished)

        return await self._db.read(query)

    async def partly_seen(self, live: Target, source_ids: Sequence[str]) -> str:
        """Return why the latest whole run of one of the sources into the collection that answers saw only a part, or ''."""
        place = (live.database, live.collection)

        def query(connection: sqlite3.Connection) -> str:
            ends = [connection.execute(_LATEST, (ident, *place)).fetchone() for ident in source_ids]
            return next((error for state, error in filter(None, ends) if state == "complete" and error), "")

        return await self._db.read(query)

    async def judged(self, collection_id: int, state: ShadowState, report: str) -> None:
        """Record how searches of a shadow compare with those of the one that answers, and what becomes of it."""
        statement = "UPDATE shadows SET state = ?, report = ?, since = ? WHERE collection_id = ? AND state IN ('building', 'refused')"
        await self._db.write(lambda c: c.execute(statement, (state, report, time.time(), collection_id)))

    async def require_no_loss(self, shadow: Shadow, keepers: Collection[str]) -> None:
        """Raise what `decide` would, and decide nothing."""
        place = shadow.live, shadow.live_id, shadow.collection_id
        await self._db.read(lambda c: require_no_loss(c, *place, keepers))

    async def decide(self, shadow: Shadow, keepers: Collection[str]) -> bool:
        """Decide that a shadow takes the place of the one that answers; return False while either is being filled, or it is
        no shadow that could. From here on that is carried out, whatever happens.

        `keepers`: the sources that bring what it lacks of their documents. Raises ConflictError while others would be lost.
        """

        def transaction(connection: sqlite3.Connection) -> bool:
            row = connection.execute(_FIT, (shadow.collection_id,)).fetchone()
            if row is not None:
                require_no_loss(connection, shadow.live, shadow.live_id, shadow.collection_id, keepers)
                connection.execute(
                    "UPDATE shadows SET state = 'switching', former_name = coalesce(former_name, ?) WHERE collection_id = ?",
                    (name_beside(row[0], "former"), shadow.collection_id),
                )
            return row is not None

        return await self._db.write(transaction)

    async def switched(self, shadow: Shadow, sources: Sequence[SourceRecord]) -> None:
        """Record that both have changed places: this is the moment from which searches find the other one."""
        await self._db.write(lambda c: change_places(c, shadow, sources))

    async def discard(self, shadow: Shadow, *, decide: bool) -> None:
        """Have a shadow removed. `decide`: no other is built until the settings change. Twice is safe."""
        await self._db.write(lambda c: discard_shadow(c, shadow, decide=decide))

    async def remove_some(self, collection_id: int) -> bool:
        """Remove some documents of a discarded shadow from the store; return whether there may be more. Vectors stay in the cache."""
        return await self._db.write(lambda c: remove_documents(c, collection_id))

    async def forget(self, collection_id: int) -> None:
        """Forget a shadow that is gone from the vector store. Twice is safe."""
        await self._db.write(lambda c: c.execute("DELETE FROM collections WHERE id = ?", (collection_id,)))

    async def make_in_place(self, live_id: int) -> None:
        """Let a collection's documents be made by its sources' settings again, one after the other. Twice is safe."""
        await self._db.write(lambda c: c.execute("DELETE FROM kept_recipes WHERE collection_id = ?", (live_id,)))
