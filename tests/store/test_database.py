"""What the one writer and the one reader promise about threads and cursors."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncd.errors import ConfigError, StoreDamagedError
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


async def test_a_damaged_page_that_is_met_later_is_told_as_damage_with_advice(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "state.db"
    opened = await Database.open(path)
    await opened.write(lambda c: c.execute("CREATE TABLE t AS SELECT 'in here' AS y"))
    await opened.close()
    content = path.read_bytes()
    start = content.rindex(b"in here") // 4096 * 4096
    path.write_bytes(content[:start] + bytes([7]) * 4096 + content[start + 4096 :])
    with pytest.raises(ConfigError, match=r"malformed|syncd doctor --recover"):
        await Database.open(path)
    monkeypatch.setattr("syncd.store.database.check", lambda _connection, _limit_s: None)
    opened = await Database.open(path)
    assert opened.trouble is None
    with pytest.raises(StoreDamagedError, match="syncd doctor --recover"):
        await opened.read(lambda c: c.execute("SELECT * FROM t").fetchall())
    assert "is damaged" in opened.trouble
    await opened.close()
