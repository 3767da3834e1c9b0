"""What the one writer and the one reader promise about threads and cursors."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncd.store.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "state.db")
    yield opened
    await opened.close()


async def test_a_cursor_that_leaves_a_transaction_holds_no_statement(database: Database) -> None:
    cursors = [
        await database.write(lambda c: c.execute("SELECT 1 UNION SELECT 2")),
        await database.read(lambda c: c.execute("SELECT 1 UNION SELECT 2")),
    ]
    for ask, cursor in zip((database.write, database.read), cursors, strict=True):
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            await ask(lambda _, cursor=cursor: cursor.fetchone())
