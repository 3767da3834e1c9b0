"""The tables whose rows carry a checksum of all that matters in them, and what is done with a row that cannot be set right.

They decide what happens: what is synced, where to, who may see it. Rows that hold what was made of documents have checksums that
whoever writes them makes (`checksums`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from syncd.store.bit_errors import set_right
from syncd.store.checksums import DAMAGED
from syncd.store.row_bytes import Cell, right_cells

IS_LOST = f"checksum = {DAMAGED}"
"""SQL: a row of a checked table is known to be damaged, and cannot be set right."""


class DamagedRowError(Exception):
    """A row is not what was stored; `Database` sets it right, and asks again."""


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table with rowids and a column `checksum`, and which of its other columns that is made of."""

    name: str
    texts: Sequence[str]
    """Columns of texts and blobs."""
    numbers: Sequence[str]
    """Columns of numbers."""
    given_up: str | None = None
    """What is done in SQL with row ?1 in which more than a bit is wrong; None: it stays, known to be damaged."""
    acting: str = "1"
    """SQL: of which rows something is done without anybody asking; the others are looked at when they are read."""
    is_numbered: bool = True
    """Whether the first number is the row's own, its rowid."""

    def standing(self, row: str = "") -> str:
        """Return, in SQL, how a row is: 1 as it was stored, 0 known to be damaged, NULL damaged or unknown. `row`: `alias.`."""
        checksum = f"{row}checksum"
        return f"CASE WHEN {checksum} IS {self.sum_of(row)} THEN 1 WHEN {checksum} = {DAMAGED} THEN 0 END"

    def sum_of(self, row: str = "") -> str:
        """Return the checksum of a row as it stands, in SQL."""
        return f"row_checksum({', '.join(self._arguments(row))})"

    @property
    def columns(self) -> Sequence[str]:
        """All that the checksum is made of."""
        return (*self.numbers, *self.texts)

    def rows(self, connection: sqlite3.Connection, condition: str) -> list[CheckedRow]:
        """Return the rows of which a condition holds, in SQL, as they stand in the table."""
        # Of what an index has too, SQLite would read that.
        columns = ", ".join(("rowid", "checksum", *self._arguments("")))
        found = connection.execute(f"SELECT {columns} FROM {self.name} NOT INDEXED WHERE {condition}")
        return [CheckedRow(number, checksum, kinds, cells) for number, checksum, kinds, *cells in found]

    def _arguments(self, row: str) -> list[str]:
        kinds = " || ".join(f"substr(typeof({row}{name}), 1, 1)" for name in self.texts)
        numbers = [f"{row}{name}" for name in self.numbers]
        # A damaged text need not be UTF-8, which Python would refuse.
        return [kinds, *numbers, *(f"CAST({row}{name} AS BLOB)" for name in self.texts)]


class CheckedRow(NamedTuple):
    """A row as it stands in the file: its rowid, what types its texts are of, and its cells in the order of CheckedTable.columns."""

    number: int
    checksum: Cell
    kinds: str
    cells: Sequence[Cell]

    def right(self) -> tuple[str, Sequence[Cell]] | None:
        """Return types and cells as they were stored; None where more than a bit is wrong."""
        checksum = self.checksum
        if checksum is None or checksum == DAMAGED:
            return None
        if not isinstance(checksum, int):
            # Its own type was damaged.
            return self.kinds, self.cells
        # SQLite has a sign and more bits in front, of which one may be what flipped.
        return right_cells(self.kinds, self.cells, lambda row: set_right(row, checksum & 0xFFFFFFFF))


SOURCE_ROWS = CheckedTable(
    "sources",
    ("id", "name", "type", "database", "settings", "embedding", "chunking", "id_root", "given_name"),
    ("seq", "created_at", "paused_at"),
)
INVOCATION_ROWS = CheckedTable(
    "invocations",
    ("id", "source_id", "source_type", "database", "collection", "origin", "request", "state", "error", "counts"),
    ("seq", "priority", "attempts", "bugs", "not_before", "created_at", "started_at", "finished_at"),
    "UPDATE invocations SET origin = 'api', request = '{}', state = 'failed', counts = '{}', attempts = 1, bugs = 0, not_before = 0, "
    "finished_at = strftime('%s'), created_at = strftime('%s'), started_at = NULL, error = 'what this run was asked for is not known any "
    "more, because its row in the database was damaged: sync the source again, or upload the file again' WHERE rowid = ?1",
    # There are many of those that have ended.
    "state NOT IN ('complete', 'failed', 'cancelled')",
)
COLLECTION_ROWS = CheckedTable(
    "collections",
    ("database", "name", "embedding", "chroma_id", "rebuilding", "damage"),
    ("id",),
)
"""Without its row nothing is known of a collection's documents: one that cannot be set right damages the database. How far a refill
is, and how much was deleted, is seen to be wrong when the collection is compared."""
ABSENT_SOURCE_ROWS = CheckedTable(
    "absent_sources",
    ("id", "name", "type", "database", "settings", "id_root", "fate"),
    ("removed_at",),
    # Its documents stay, and nobody's.
    "DELETE FROM absent_sources WHERE rowid = ?1",
    is_numbered=False,
)
SHADOW_ROWS = CheckedTable(
    "shadows",
    ("state", "former_name", "report"),
    ("collection_id", "live_id", "since"),
    # The collection stays; another shadow is begun where one is needed.
    "DELETE FROM shadows WHERE rowid = ?1",
)
RECIPE_ROWS = CheckedTable(
    "kept_recipes",
    ("source_id", "chunking"),
    ("collection_id", "is_decided"),
    # The documents are made as the source is set now.
    "DELETE FROM kept_recipes WHERE rowid = ?1",
    is_numbered=False,
)
TOKEN_ROWS = CheckedTable(
    "tokens",
    ("id", "name", "hash", "databases", "access"),
    ("created_at", "expires_at"),
    # Whom it lets in, and where, is not known.
    "DELETE FROM tokens WHERE rowid = ?1",
    is_numbered=False,
)
CREDENTIAL_ROWS = CheckedTable("credentials", ("database", "kind", "ciphertext"), ("id", "created_at"))
"""One that cannot be set right does not decrypt."""
LABEL_ROWS = CheckedTable(
    "s3_labels",
    ("source_id", "file_key", "path", "collection", "custom_id", "metadata", "etag"),
    ("said_at",),
    # A listing reads metadata files again that no label is of.
    "DELETE FROM s3_labels WHERE rowid = ?1",
    # There may be one for each object.
    "0",
    is_numbered=False,
)
"""Which listing has seen a metadata file does not matter: one that it has not seen is read again."""

CHECKED_TABLES = (
    SOURCE_ROWS,
    INVOCATION_ROWS,
    COLLECTION_ROWS,
    ABSENT_SOURCE_ROWS,
    SHADOW_ROWS,
    RECIPE_ROWS,
    TOKEN_ROWS,
    CREDENTIAL_ROWS,
    LABEL_ROWS,
)


def is_as_stored(standing: int | None) -> bool:
    """Return whether a row is what was stored, by its `standing`; False: it cannot be set right. Raises DamagedRowError: it may be."""
    if standing is None:
        raise DamagedRowError
    return bool(standing)


def require_as_stored(standing: int | None) -> None:
    """Raise DamagedRowError unless a row is what was stored, by its `standing`; of a table in which none that is not may stay."""
    if not standing:
        raise DamagedRowError
