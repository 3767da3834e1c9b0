"""One bit flips in a row that decides what is synced, where to, or who may see it: it is set right before anything acts on it."""

import asyncio
import shutil
import sqlite3
import struct
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from syncd.errors import ConfigError, StoreDamagedError
from syncd.model import Chunking, DamagedSettings, Embedding, Origin, SomeKeys, State, Target, WholeSource
from syncd.model.records import SourceWatch
from syncd.sources.github.settings import GithubSourceSettings
from syncd.sources.registry import TYPES
from syncd.sources.s3.label_store import Label, Labels
from syncd.store import Store
from syncd.store.checked_tables import CHECKED_TABLES
from syncd.store.checksums import DAMAGED
from syncd.store.salvage import damage_of, salvage

TARGET = Target("db", "docs")
LABEL = Label("labels/a.json", "reports/a.md", "reports", "report-a", {"author": "Ada"}, '"d41d8cd9"', 1_700_000_000.5)
SETTINGS = GithubSourceSettings(repository="a/b", watch=SourceWatch(target_collection_name="docs"))
TABLES = {table.name: table for table in CHECKED_TABLES}
FILE = "syncd.sqlite"


async def fill(folder: Path) -> None:
    """Put a row, or two, into each checked table."""
    store = await Store.open(folder, TYPES)
    made = ("github", "db", SETTINGS, Embedding(), Chunking())
    ours = await store.sources.create(*made, given_name="ours")
    gone = await store.sources.create("github", "db", GithubSourceSettings(repository="a/gone"), *made[3:], "gone")
    collection = await store.collections.open(TARGET, Embedding())
    await store.collections.set_chroma_id(collection.id, "5f0c9a52")
    await store.invocations.create(ours.id, TARGET, Origin.EVENT, SomeKeys(("a.md", "b.md")))
    under_way = await store.invocations.create(gone.id, TARGET, Origin.API)
    await store.invocations.start(under_way.id)
    await store.sources.delete(gone.id)
    await store.shadows.begin(collection.id, TARGET, Embedding(), [ours])
    kept = (
        "INSERT INTO kept_recipes (source_id, collection_id, chunking) VALUES (?, 2, ?)",
        (ours.id, '{"max_lines":20}'),
    )
    await store.database.write(lambda c: c.execute(*kept))
    await store.tokens.create("readers", frozenset({"db"}), "read")
    await store.credentials.add("db", "github", {"token": "a-secret-of-github"})
    await Labels(store.database).note_file(ours.id, LABEL.file_key, LABEL)
    await store.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    asyncio.run(fill(folder))
    return folder


@pytest.fixture
def state(filled, tmp_path):
    return Path(shutil.copytree(filled, tmp_path / "state"))


def rows(state: Path, table: str) -> list[tuple]:
    """Return all rows of a table as they stand in the file."""
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.text_factory = bytes
        assert connection.execute("PRAGMA integrity_check").fetchall() == [(b"ok",)]
        return connection.execute(f"SELECT * FROM {table} NOT INDEXED").fetchall()


def checked_cells(state: Path, table: str) -> list[tuple]:
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.text_factory = bytes
        return connection.execute(
            f"SELECT {', '.join(TABLES[table].columns)}, checksum FROM {table} NOT INDEXED"
        ).fetchall()


def cell_bytes(value: object) -> bytes:
    """Return a value as SQLite writes it behind the types of a row."""
    if value is None or value in (0, 1):
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and not value.is_integer():
        return struct.pack(">d", value)
    whole = int(value)
    size = next(size for size in (1, 2, 3, 4, 6, 8) if -(1 << 8 * size - 1) <= whole < 1 << 8 * size - 1)
    return whole.to_bytes(size, "big", signed=True)


def places(state: Path, table: str) -> dict[str, tuple[int, int]]:
    """Return where the cells of a table's first row that take any bytes are in the file: begin and size; 'types' are before them."""
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.text_factory = bytes
        columns = [name.decode() for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        keys = [row[1].decode() for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
        row = connection.execute(f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED").fetchone()
    own_number = TABLES[table].numbers[0] if keys == [TABLES[table].numbers[0]] else None
    cells = [b"" if name == own_number else cell_bytes(value) for name, value in zip(columns, row, strict=True)]
    content = (state / FILE).read_bytes()
    assert content.count(b"".join(cells)) == 1
    at = content.index(b"".join(cells))
    found = {"types": (at - len(columns), len(columns))}
    for name, cell in zip(columns, cells, strict=True):
        if cell and (name in TABLES[table].columns or name == "checksum"):
            found[name] = (at, len(cell))
        at += len(cell)
    return found


def flip(state: Path, byte: int, bits: int) -> None:
    content = bytearray((state / FILE).read_bytes())
    content[byte] ^= bits
    (state / FILE).write_bytes(content)


def damage(state: Path, table: str, column: str, *, at: int = 3, bits: int = 1) -> None:
    """Flip bits of a column of a table's first row, also in its indexes, as if a page that was read before were read again."""
    with closing(sqlite3.connect(state / FILE)) as connection:
        query = f"SELECT CAST({column} AS BLOB), rowid FROM {table} LIMIT 1"
        content, rowid = connection.execute(query).fetchone()
        changed = bytearray(content)
        changed[at] ^= bits
        kind = "BLOB" if column in ("hash", "ciphertext") else "TEXT"
        statement = f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE rowid = ?"
        connection.execute(statement, (bytes(changed), rowid))
        connection.commit()


async def reopened(state: Path) -> Store:
    return await Store.open(state, TYPES)


async def labels_of(store: Store) -> list[Label]:
    (ours,) = await store.sources.list()
    return list(await Labels(store.database).between(ours.id, "", None))


async def started(state: Path) -> None:
    """Start on a state folder, and read what is looked at only when it is read."""
    store = await reopened(state)
    await labels_of(store)
    await store.close()


@pytest.mark.parametrize("table", TABLES)
async def test_a_flipped_bit_of_any_column_is_set_right_at_the_start_or_where_the_row_is_read(state, tmp_path, table):
    right = rows(state, table)
    cells = places(state, table)
    del cells["types"]
    assert len(cells) > 2
    for name, (begin, size) in cells.items():
        for byte, bit in ((0, 7), (size // 2, 2), (size - 1, 0)):
            copy = Path(shutil.copytree(state, tmp_path / f"{name}-{byte}-{bit}"))
            flip(copy, begin + byte, 1 << bit)
            await started(copy)
            assert rows(copy, table) == right, (name, byte, bit)


@pytest.mark.parametrize("table", TABLES)
async def test_a_flipped_bit_of_the_types_in_a_row_is_set_right_or_the_row_is_not_believed(state, tmp_path, table):
    right = checked_cells(state, table)
    begin, size = places(state, table)["types"]
    for bit in range(3, 8 * size, 11):
        copy = Path(shutil.copytree(state, tmp_path / f"{bit}"))
        flip(copy, begin + bit // 8, 1 << bit % 8)
        try:
            await started(copy)
        except ConfigError:
            continue
        now = checked_cells(copy, table)
        is_gone = bool(TABLES[table].given_up) and (len(now) < len(right) or b"failed" in now[0])
        assert now == right or is_gone or now[0][-1] == DAMAGED, bit


@pytest.mark.parametrize("table", ["sources", "invocations"])
async def test_an_index_that_is_not_what_its_table_is_is_made_anew(state, table):
    ident = rows(state, table)[0][1]
    in_table = places(state, table)["id"][0]
    content = (state / FILE).read_bytes()
    entries = [at for at in range(len(content)) if content.startswith(ident, at) and at != in_table]
    flip(state, entries[-1] + 9, 4)
    store = await reopened(state)
    assert await getattr(store, table).get(ident.decode()) is not None
    await store.close()
    rows(state, table)


async def test_a_bit_that_flips_while_the_daemon_runs_is_set_right_where_the_row_is_read_next(state):
    store = await reopened(state)
    (ours,) = await store.sources.list()
    damage(state, "sources", "settings", at=15)
    assert (await store.sources.get(ours.id)) == ours
    damage(state, "sources", "database", at=0)
    assert await store.sources.list() == [ours]
    waiting = await store.invocations.due(9)
    damage(state, "invocations", "request", at=10)
    assert await store.invocations.due(9) == waiting
    damage(state, "invocations", "request", at=3)
    joined = await store.invocations.create_or_join(ours.id, TARGET, Origin.SCHEDULE, SomeKeys(("c.md",)))
    assert joined.request == SomeKeys(("a.md", "b.md", "c.md"))
    record = await store.collections.find(TARGET)
    damage(state, "collections", "embedding", at=12)
    assert await store.collections.find(TARGET) == record
    (shadow,) = await store.shadows.all()
    damage(state, "shadows", "state", at=1)
    assert await store.shadows.all() == [shadow]
    recipe = await store.shadows.recipe(ours.id, shadow.target)
    assert recipe is not None
    damage(state, "kept_recipes", "chunking", at=4)
    assert await store.shadows.recipe(ours.id, shadow.target) == recipe
    damage(state, "absent_sources", "fate", at=1)
    assert await store.absent_sources.doomed() == []
    (token,) = await store.tokens.list()
    damage(state, "tokens", "databases", at=2)
    assert await store.tokens.get(token.id) == token
    damage(state, "credentials", "ciphertext", at=20)
    assert await store.credentials.get(1, "db") == {"token": "a-secret-of-github"}
    await store.close()


async def test_a_label_in_which_a_bit_flips_is_set_right_wherever_it_is_read_next(state):
    store = await reopened(state)
    (ours,), labels = await store.sources.list(), Labels(store.database)
    said = replace(LABEL, file_key="", etag="")
    reads = {
        "metadata": (lambda: labels.of(ours.id, LABEL.path), [LABEL]),
        "custom_id": (lambda: labels.file(ours.id, LABEL.file_key), LABEL),
        "etag": (lambda: labels.etags(ours.id, [LABEL.file_key]), {LABEL.file_key: LABEL.etag}),
        "collection": (lambda: labels.collections(ours.id), [LABEL.collection]),
    }
    for column, (read, right) in reads.items():
        damage(state, "s3_labels", column)
        assert await read() == right, column
    damage(state, "s3_labels", "custom_id")
    await labels.note_file(ours.id, LABEL.file_key, LABEL)
    assert await labels_of(store) == [LABEL]
    assert len(await labels.checks(ours.id)) == 2, "nothing has changed"
    await labels.note_file(ours.id, LABEL.file_key, None)
    await labels.say(ours.id, said)
    damage(state, "s3_labels", "custom_id")
    await labels.say(ours.id, replace(said, custom_id="earlier", said_at=said.said_at - 1))
    assert await labels_of(store) == [said]
    await store.close()


async def test_a_label_that_cannot_be_set_right_is_read_again_from_its_file(state):
    store = await reopened(state)
    (ours,), labels = await store.sources.list(), Labels(store.database)
    damage(state, "s3_labels", "metadata", bits=3)
    assert await labels_of(store) == []
    assert await labels.etags(ours.id, [LABEL.file_key]) == {}
    await labels.note_file(ours.id, LABEL.file_key, LABEL)
    assert await labels_of(store) == [LABEL]
    await store.close()


async def test_a_run_that_has_ended_is_set_right_when_somebody_looks_at_it(state):
    store = await reopened(state)
    (run, *_) = await store.invocations.list(newest_first=False)
    await store.invocations.cancel(run.id)
    right = await store.invocations.get(run.id)
    await store.close()
    damage(state, "invocations", "request", at=10)
    store = await reopened(state)
    assert await store.invocations.get(run.id) == right
    await store.close()


async def test_a_damaged_row_that_is_written_before_it_is_read_stays_damaged(state):
    store = await reopened(state)
    (ours,) = await store.sources.list()
    damage(state, "sources", "settings", at=15)
    await store.source_names.pause(ours.id)
    assert isinstance((await store.sources.get(ours.id)).settings, DamagedSettings)
    await store.close()


async def test_a_source_that_cannot_be_set_right_is_held_and_the_others_go_on(state):
    store = await reopened(state)
    other = await store.sources.create(
        "github", "db", GithubSourceSettings(repository="a/c"), Embedding(), Chunking(), given_name="other"
    )
    run = await store.invocations.create(other.id, TARGET, Origin.API)
    (waiting,) = [it for it in await store.invocations.due(9) if it.request == SomeKeys(("a.md", "b.md"))]
    await store.close()
    for column, at in (("type", 1), ("settings", 15), ("given_name", 0)):
        damage(state, "sources", column, at=at, bits=3)
    store = await reopened(state)
    held = await store.sources.get(waiting.source_id)
    assert (held.type, held.id) == ("github", waiting.source_id)
    assert isinstance(held.settings, DamagedSettings)
    assert await store.source_names.damaged() == {held.id: held.settings.reason}
    assert "sources remove" in held.settings.reason
    due = await store.invocations.due(9)
    assert run.id in [it.id for it in due]
    assert held.id not in [it.source_id for it in due]
    assert (await store.sources.get(other.id)).settings == other.settings
    await store.sources.replace(held, "db", SETTINGS, Embedding(), Chunking())
    assert (await store.sources.get(held.id)).settings == SETTINGS
    assert waiting.id in [it.id for it in await store.invocations.due(9)]
    await store.close()


async def test_a_run_of_which_nothing_is_known_any_more_fails_and_says_so(state):
    damage(state, "invocations", "request", at=10, bits=3)
    damage(state, "invocations", "state", at=1, bits=3)
    store = await reopened(state)
    (failed,) = await store.invocations.list(state=State.FAILED)
    assert failed.request == WholeSource()
    assert "sync the source again" in (failed.error or "")
    assert failed.id not in [it.id for it in await store.invocations.due(9)]
    await store.close()


async def test_a_token_of_which_it_is_not_known_where_it_is_good_is_good_nowhere(state):
    store = await reopened(state)
    token = await store.tokens.create("administrator")
    await store.close()
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.execute("DELETE FROM tokens WHERE name = 'readers'")
        connection.commit()
    damage(state, "tokens", "name", at=0, bits=3)
    store = await reopened(state)
    assert await store.tokens.verify(token) is None
    assert await store.tokens.list() == []
    await store.close()


async def test_a_collection_that_cannot_be_set_right_has_the_database_recovered_without_it(state):
    damage(state, "collections", "name", at=0, bits=3)
    store = await reopened(state)
    with pytest.raises(StoreDamagedError, match="doctor --recover"):
        await store.collections.all()
    await store.close()
    assert damage_of(state / FILE) == "a collection's row is not what was stored"
    salvage(state / FILE, state / "partial", TYPES.migrations)
    (state / "partial").rename(state / FILE)
    store = await reopened(state)
    assert [it.id for it in await store.collections.all()] == [2]
    await store.close()


async def test_rows_of_an_older_database_get_checksums_of_what_is_there(state):
    with closing(sqlite3.connect(state / FILE)) as connection:
        connection.execute("DROP INDEX sources_damaged")
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        connection.execute("DELETE FROM migrations WHERE number IN (113, 116)")
        connection.commit()
    store = await reopened(state)
    (ours,) = await store.sources.list()
    damage(state, "sources", "settings", at=15)
    assert await store.sources.list() == [ours]
    await store.close()
