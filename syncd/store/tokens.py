"""API tokens, of which only hashes are stored."""

from __future__ import annotations

import hmac
import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from syncd.errors import ConflictError
from syncd.store.checked_tables import TOKEN_ROWS, require_as_stored
from syncd.store.database import Database

TokenAccess = Literal["read", "write"]
"""`read` covers what changes nothing."""

_COLUMNS = f"id, name, databases, access, expires_at, {TOKEN_ROWS.standing()}"
_IS_ADMINISTRATORS = "databases IS NULL AND access = 'write' AND expires_at IS NULL"


@dataclass(frozen=True, slots=True)
class Token:
    """An API token without its secret. `databases` None: every database, and administration."""

    id: str
    name: str
    databases: frozenset[str] | None
    access: TokenAccess = "write"
    expires_at: datetime | None = None
    """When it ceases to be good; None: never."""


class Tokens:
    """Each method is one transaction. Tokens have the form `sk_<id>_<256 random bits>`, so a plain hash is enough."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self,
        name: str,
        databases: frozenset[str] | None = None,
        access: TokenAccess = "write",
        expires_at: datetime | None = None,
    ) -> str:
        """Store a new token and return it; it cannot be shown again."""
        ident = secrets.token_hex(6)
        token = f"sk_{ident}_{secrets.token_urlsafe(32)}"
        scope = None if databases is None else json.dumps(sorted(databases))
        until = None if expires_at is None else expires_at.timestamp()
        row = (ident, name, _digest(token), scope, time.time(), access, until)
        columns = "id, name, hash, databases, created_at, access, expires_at"
        statement = f"INSERT INTO tokens ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        await self._db.write(lambda c: c.execute(statement, row))
        return token

    async def verify(self, token: str) -> Token | None:
        """Return the token's record, or None if it is unknown, revoked or expired. Takes the same time for every wrong secret."""
        parts = token.split("_", 2)
        ident = parts[1] if len(parts) == 3 else ""
        statement = f"SELECT {_COLUMNS}, hash FROM tokens WHERE id = ?"

        def query(connection: sqlite3.Connection) -> tuple[Token | None, bytes]:
            row = connection.execute(statement, (ident,)).fetchone()
            return (token_from_row(row[:-1]), row[-1]) if row else (None, bytes(32))

        found, expected = await self._db.read(query)
        return _if_good(found) if hmac.compare_digest(_digest(token), expected) else None

    async def get(self, ident: str) -> Token | None:
        """Return the token of this id, or None if it is unknown, revoked or expired."""
        statement = f"SELECT {_COLUMNS} FROM tokens WHERE id = ?"
        rows = await self._db.read(lambda c: [token_from_row(row) for row in c.execute(statement, (ident,))])
        return _if_good(rows[0]) if rows else None

    async def list(self) -> Sequence[Token]:
        """Return all tokens, expired ones too, oldest first."""
        statement = f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at"
        return await self._db.read(lambda c: [token_from_row(row) for row in c.execute(statement)])

    async def revoke(self, ident: str) -> bool:
        """Revoke a token, with immediate effect. False: unknown.

        Raises ConflictError for an administrator's token if no other one is left that writes and never expires.
        """

        def transaction(connection: sqlite3.Connection) -> bool:
            others = f"SELECT count(*) FROM tokens WHERE id != ? AND {_IS_ADMINISTRATORS}"
            itself = f"SELECT count(*) FROM tokens WHERE id = ? AND {_IS_ADMINISTRATORS}"
            (is_one,), (left,) = (connection.execute(each, (ident,)).fetchone() for each in (itself, others))
            if is_one and not left:
                raise ConflictError(
                    "this is the last administrator's token that does not expire; create another one first"
                )
            return connection.execute("DELETE FROM tokens WHERE id = ?", (ident,)).rowcount > 0

        return await self._db.write(transaction)


def token_from_row(row: tuple[str, str, str | None, TokenAccess, float | None, int | None]) -> Token:
    """Return the Token in a row of the listed columns. Raises DamagedRowError."""
    ident, name, databases, access, expires_at, standing = row
    require_as_stored(standing)
    covered = None if databases is None else frozenset[str](json.loads(databases))
    return Token(ident, name, covered, access, None if expires_at is None else datetime.fromtimestamp(expires_at, UTC))


def _if_good(token: Token | None) -> Token | None:
    is_over = token is not None and token.expires_at is not None and token.expires_at <= datetime.now(UTC)
    return None if is_over else token


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
