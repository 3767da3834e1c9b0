"""What the one writer and the one reader promise about threads and cursors."""

import math
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from syncd.errors import ConfigError, StoreDamagedError
from syncd.runtime.state import WORDS_FILE
from syncd.store.database import Database, check, migrate
from syncd.store.salvage import damage_of, salvage


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


async def test_a_damaged_schema_that_is_no_text_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await Database.open(path)).close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", bytes([ord("C") ^ 0x80]) + b"REATE TABLE", 1))
    with pytest.raises(ConfigError, match=r"malformed database schema.*doctor"):
        await Database.open(path)
    assert "malformed database schema" in (damage_of(path) or "")


async def test_one_that_lost_all_content_is_refused_with_advice_and_one_that_never_had_any_is_made(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    path.touch()
    assert damage_of(path) is None
    await (await Database.open(path)).close()
    path.write_bytes(b"")
    (tmp_path / WORDS_FILE).touch()
    with pytest.raises(ConfigError, match=r"is empty, though it was in use.*doctor"):
        await Database.open(path)
    assert "is empty" in (damage_of(path) or "")
    with pytest.raises(ConfigError, match="restore a copy of it, or move it away"):
        salvage(path, tmp_path / "partial", [])
    path.rename(tmp_path / "away")
    await (await Database.open(path)).close()


def test_of_an_upgrade_that_fails_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "upgrade" / "migrations"
    folder.mkdir(parents=True)
    (folder / "9998_first.sql").write_text("CREATE TABLE first (x);\n")
    (folder / "9999_second.sql").write_text("CREATE TABLE second (y);\nDROP TABLE no_such_table;\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, tmp_path / "state.db")
        before = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
            migrate(connection, tmp_path / "state.db", ["upgrade"])
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == before
        assert connection.execute("SELECT max(number) < 9998 FROM migrations").fetchone() == (1,)


def test_a_large_file_is_read_no_longer_than_it_may_take(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT zeroblob(40000000) AS x")
        connection.commit()
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes([7]) * 4)
    with closing(sqlite3.connect(path)) as connection:
        check(connection, 0.0)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
        with pytest.raises(sqlite3.DatabaseError, match="page"):
            check(connection, math.inf)
