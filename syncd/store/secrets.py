"""Credentials of other services, encrypted with a key that is not in the database."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from syncd.errors import ConfigError, ConflictError, NotFoundError
from syncd.redaction import register_secrets_in
from syncd.store.checked_tables import CREDENTIAL_ROWS, is_as_stored
from syncd.store.database import Database

CREDENTIAL_NAME = "syncd-key"
NONCE_SIZE_BYTES = 12


_USED_BY = (
    "SELECT s.id FROM sources s, json_each(s.settings) setting "
    "WHERE s.database = credentials.database AND setting.key LIKE '%credential_id' AND setting.value = credentials.id"
)
"""The sources that use a credential: every type names it in a setting of that name, in its own database."""


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """A credential without its secret. `stored_at`: when the secret that it has now was stored."""

    id: int
    database: str
    kind: str
    stored_at: datetime
    sources: Sequence[str]


class Credentials:
    """Secrets of other services, AES-256-GCM encrypted; each method is one transaction."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._db = database
        self._cipher = AESGCM(key)

    async def add(self, database: str, kind: str, secret: Mapping[str, str]) -> int:
        """Store a secret for a database and return its number; from now on it is kept out of messages."""
        register_secrets_in(secret)
        statement = "INSERT INTO credentials (database, kind, ciphertext, created_at) VALUES (?, ?, ?, ?) RETURNING id"
        row = (database, kind, self._sealed(database, kind, secret), time.time())
        return await self._db.write(lambda c: c.execute(statement, row).fetchone()[0])

    async def list(self, databases: frozenset[str] | None = None) -> Sequence[CredentialRecord]:
        """Return the credentials of these databases, of all if None, in the order of their numbers."""
        statement = f"SELECT id, database, kind, created_at, (SELECT json_group_array(id) FROM ({_USED_BY})) FROM credentials ORDER BY id"
        rows = await self._db.read(lambda c: c.execute(statement).fetchall())
        return [
            CredentialRecord(ident, database, kind, datetime.fromtimestamp(at, UTC), json.loads(sources))
            for ident, database, kind, at, sources in rows
            if databases is None or database in databases
        ]

    async def rotate(
        self, found: CredentialRecord, changes: Mapping[str, str], databases: frozenset[str] | None = None
    ) -> None:
        """Put new parts of a secret in the old ones' place, also of its copies in these databases, in all if None.

        Raises NotFoundError, or ConfigError if it was encrypted with another key.
        """
        old = await self.get(found.id, found.database)
        secret = {**old, **changes}
        register_secrets_in(secret)
        copies = [it for it in await self.list(databases) if it.kind == found.kind and await self._is(it, old)]
        rows = [(self._sealed(it.database, it.kind, secret), time.time(), it.id) for it in copies]
        await self._db.write(
            lambda c: c.executemany("UPDATE credentials SET ciphertext = ?, created_at = ? WHERE id = ?", rows)
        )

    async def _is(self, record: CredentialRecord, secret: Mapping[str, str]) -> bool:
        with suppress(ConfigError, NotFoundError):
            return await self.get(record.id, record.database) == secret
        return False

    async def delete(self, ident: int) -> None:
        """Delete a credential; twice is safe. Raises ConflictError while a source uses it."""

        def transaction(connection: sqlite3.Connection) -> None:
            statement = f"DELETE FROM credentials WHERE id = ? AND NOT EXISTS ({_USED_BY})"
            connection.execute(statement, (ident,))
            if connection.execute("SELECT 1 FROM credentials WHERE id = ?", (ident,)).fetchone():
                raise ConflictError(f"sources use credential {ident}; give them another, or remove them first")

        await self._db.write(transaction)

    async def exists(self, ident: int, database: str) -> bool:
        """Return whether `database` has this credential."""
        statement = "SELECT 1 FROM credentials WHERE id = ? AND database = ?"
        return await self._db.read(lambda c: c.execute(statement, (ident, database)).fetchone() is not None)

    async def shared(self, ident: int, kind: str, database: str) -> int | None:
        """Return the number under which `database` has the secret of a credential of any database, put there if need be.

        None if there is no such credential. Twice is safe. Raises ConfigError if it was encrypted with another key.
        """
        owner = await self._db.read(
            lambda c: c.execute("SELECT database FROM credentials WHERE id = ? AND kind = ?", (ident, kind)).fetchone()
        )
        if owner is None or owner[0] == database:
            return ident if owner else None
        secret = await self.get(ident, owner[0])
        statement = "SELECT id FROM credentials WHERE database = ? AND kind = ? ORDER BY id"
        own = await self._db.read(lambda c: [number for (number,) in c.execute(statement, (database, kind))])
        for number in own:
            if await self.get(number, database) == secret:
                return number
        return await self.add(database, kind, secret)

    async def get(self, ident: int, database: str) -> Mapping[str, str]:
        """Return a decrypted secret. Raises NotFoundError, or ConfigError if it was encrypted with another key."""
        statement = (
            f"SELECT kind, ciphertext, {CREDENTIAL_ROWS.standing()} FROM credentials WHERE id = ? AND database = ?"
        )

        def query(connection: sqlite3.Connection) -> tuple[str, bytes] | None:
            row = connection.execute(statement, (ident, database)).fetchone()
            if row is not None:
                # One that is damaged for good does not decrypt.
                is_as_stored(row[2])
            return row and row[:2]

        row = await self._db.read(query)
        if row is None:
            raise NotFoundError(
                f"credential {ident} does not exist in database {database!r}; create the source again with the keys inline"
            )
        return self._opened(ident, database, *row)

    async def keep_out_of_messages(self) -> None:
        """Keep every stored secret out of messages: those of earlier runs, which are kept, may hold one."""
        statement = "SELECT id, database, kind, ciphertext FROM credentials"
        for row in await self._db.read(lambda c: c.execute(statement).fetchall()):
            with suppress(ConfigError):
                self._opened(*row)

    def _sealed(self, database: str, kind: str, secret: Mapping[str, str]) -> bytes:
        nonce = os.urandom(NONCE_SIZE_BYTES)
        # The database and kind are authenticated, so a row copied to another tenant's database does not decrypt.
        return nonce + self._cipher.encrypt(nonce, json.dumps(dict(secret)).encode(), f"{database}\0{kind}".encode())

    def _opened(self, ident: int, database: str, kind: str, ciphertext: bytes) -> Mapping[str, str]:
        nonce, sealed = ciphertext[:NONCE_SIZE_BYTES], ciphertext[NONCE_SIZE_BYTES:]
        try:
            secret: Mapping[str, str] = json.loads(self._cipher.decrypt(nonce, sealed, f"{database}\0{kind}".encode()))
        except InvalidTag as error:
            raise ConfigError(
                f"credential {ident} was encrypted with another key; restore the key file or add it again"
            ) from error
        register_secrets_in(secret)
        return secret


def load_key(key_file: Path) -> bytes:
    """Return the 32-byte key from systemd's credential `syncd-key`, else from `key_file`, creating that with mode 0600.

    Raises ConfigError if others can read the file or its size is wrong.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (credential := Path(folder, CREDENTIAL_NAME)).exists():
        return checked_key(credential)
    try:
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if stat.S_IMODE(key_file.stat().st_mode) & 0o077:
            raise ConfigError(f"{key_file} is readable by others; run: chmod 600 {key_file}") from None
        return checked_key(key_file)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(32))
        file.flush()
        os.fsync(file.fileno())
    return checked_key(key_file)


def checked_key(file: Path) -> bytes:
    """Return the key in a file. Raises ConfigError unless it has 32 bytes."""
    key = file.read_bytes()
    if len(key) != 32:
        raise ConfigError(
            f"{file} must contain exactly 32 random bytes, not {len(key)}; create one with: head -c 32 /dev/urandom"
        )
    return key
