"""How a source's documents are made in a collection whose source is set to something else by now."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, replace

from syncd.model import Chunking, Embedding, SourceRecord, SourceSettings
from syncd.store.checked_tables import RECIPE_ROWS, require_as_stored
from syncd.store.codec import dumps, embedding_from_json
from syncd.store.shadow_rows import fill_anew


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides how documents are made, as far as a change of it is built beside what there is."""

    embedding: Embedding
    chunking: Chunking

    def makes_the_same(self, other: Recipe) -> bool:
        """Return whether both make the same chunks and whole vectors."""
        other_embedding = replace(other.embedding, dimensions=self.embedding.dimensions)
        return (self.embedding, self.chunking) == (other_embedding, other.chunking)


def keep_recipe(
    connection: sqlite3.Connection, record: SourceRecord, database: str, settings: SourceSettings, asked: Recipe
) -> None:
    """Note by what recipe a source's documents in its collection were made, before another one is `asked` for.

    One that is asked for again needs no note; a collection that the source leaves has none. Within the caller's transaction.
    """
    kept = settings.kept_collection
    if kept is None or (record.database, record.settings.kept_collection) != (database, kept):
        connection.execute("DELETE FROM kept_recipes WHERE source_id = ?", (record.id,))
        return
    row = connection.execute(
        "SELECT id, embedding FROM collections c WHERE database = ?1 AND name = ?2 AND EXISTS (SELECT 1 FROM documents "
        "WHERE collection_id = c.id AND source_id = ?3 UNION ALL SELECT 1 FROM prepared WHERE collection_id = c.id AND source_id = ?3)",
        (database, kept, record.id),
    ).fetchone()
    if row is None:
        return
    place, held = (record.id, row[0]), Recipe(embedding_from_json(row[1]), record.chunking)
    known = read_recipe(connection, *place)
    if known == asked:
        connection.execute("DELETE FROM kept_recipes WHERE source_id = ? AND collection_id = ?", place)
    elif known is not None and Recipe(record.embedding, record.chunking) != asked:
        connection.execute("UPDATE kept_recipes SET is_decided = 0 WHERE source_id = ? AND collection_id = ?", place)
        fill_anew(connection, row[0], replace(record, settings=settings))
    elif known is None and not held.makes_the_same(asked):
        values = (*place, dumps(asdict(held.chunking)))
        connection.execute("INSERT INTO kept_recipes (source_id, collection_id, chunking) VALUES (?, ?, ?)", values)


def read_recipe(connection: sqlite3.Connection, source_id: str, collection_id: int) -> Recipe | None:
    """Return the recipe that is noted for a source in a collection, or None; the embedding is the collection's own.

    Raises DamagedRowError.
    """
    row = connection.execute(
        f"SELECT c.embedding, r.chunking, {RECIPE_ROWS.standing('r.')} FROM kept_recipes r JOIN collections c ON c.id = r.collection_id "
        "WHERE r.source_id = ? AND r.collection_id = ?",
        (source_id, collection_id),
    ).fetchone()
    if row is None:
        return None
    require_as_stored(row[2])
    return Recipe(embedding_from_json(row[0]), Chunking(**json.loads(row[1])))
