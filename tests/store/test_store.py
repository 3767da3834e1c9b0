"""The store keeps its promises across closing, crashing and opening again."""

import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import anyio
import numpy as np
import pytest

from syncd.errors import ConfigError, ConflictError, NotFoundError
from syncd.model import (
    Chunking,
    Counts,
    Embedding,
    GitRef,
    OneObject,
    Origin,
    SomeKeys,
    SourceRecord,
    State,
    Target,
    WholeSource,
)
from syncd.sources.github.settings import GithubSourceSettings
from syncd.sources.registry import TYPES
from syncd.sources.upload.settings import UploadSourceSettings
from syncd.store import Store
from syncd.store.changes import NewChunk, Removal, Replacement
from syncd.store.invocation_queue import TURNS
from syncd.store.progress import Outcome
from syncd.store.vectors import vector_key

TARGET = Target("db", "docs")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


async def source(store: Store, name: str | None = None, database: str = "db") -> SourceRecord:
    return await store.sources.create(
        "github", database, GithubSourceSettings(repository="a/b"), Embedding(), Chunking(), name
    )


async def test_a_source_reads_back_as_it_was_created(store: Store) -> None:
    created = await source(store, "name")
    assert await store.sources.get(created.id) == created
    assert await store.sources.by_name("name") == created
    assert await store.sources.declared() == {"name": created}


async def test_a_second_source_of_the_same_name_is_refused(store: Store) -> None:
    await source(store, "name")
    with pytest.raises(ConflictError, match="choose another name"):
        await source(store, "name")


async def test_listing_respects_the_callers_databases(store: Store) -> None:
    mine, other = await source(store, database="mine"), await source(store, database="other")
    assert await store.sources.list(databases=frozenset({"mine"})) == [mine]
    assert await store.sources.list(databases=frozenset()) == []
    assert await store.sources.list(newest_first=False) == [mine, other]


async def test_the_upload_source_of_a_database_is_made_once(store: Store) -> None:
    found: list[SourceRecord] = []

    async def ask() -> None:
        found.append(
            await store.sources.get_or_create("file_upload", "db", UploadSourceSettings(), Embedding(), Chunking())
        )

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
    assert len({record.id for record in found}) == 1


async def test_an_accepted_invocation_survives_a_crash(store: Store, tmp_path: Path) -> None:
    invocation = await store.invocations.create(
        (await source(store)).id, TARGET, Origin.API, WholeSource(ref=GitRef(sha="1"))
    )
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.glob("syncd.*"):
        (copy / file.name).write_bytes(file.read_bytes())
        (copy / file.name).chmod(0o600)
    again = await Store.open(copy, TYPES)
    assert await again.invocations.get(invocation.id) == invocation
    assert [due.id for due in await again.invocations.due(10)] == [invocation.id]
    await again.close()


async def test_urgent_work_comes_before_older_backfills(store: Store) -> None:
    record = await source(store)
    backfill = await store.invocations.create(record.id, TARGET, Origin.BACKFILL)
    event = await store.invocations.create(record.id, TARGET, Origin.EVENT, OneObject("k"))
    assert [due.id for due in await store.invocations.due(10)] == [event.id, backfill.id]


async def test_a_cancelled_invocation_stays_cancelled(store: Store) -> None:
    invocation = await store.invocations.create((await source(store)).id, TARGET, Origin.API)
    await store.invocations.start(invocation.id)
    cancelled = await store.invocations.cancel(invocation.id)
    assert cancelled.state is State.CANCELLED
    await store.invocations.settle(invocation.id, State.COMPLETE, Counts())
    assert not await store.invocations.start(invocation.id)
    after = await store.invocations.get(invocation.id)
    assert after is not None
    assert after.state is State.CANCELLED
    with pytest.raises(ConflictError):
        await store.invocations.cancel(invocation.id)


async def test_a_postponed_invocation_is_not_due_before_its_time(store: Store) -> None:
    invocation = await store.invocations.create((await source(store)).id, TARGET, Origin.API)
    await store.invocations.start(invocation.id)
    await store.invocations.postpone(invocation.id, 3600, "away", Counts(found=3))
    assert await store.invocations.due(10) == []
    assert 3500 < (await store.invocations.next_due_in_s(since=time.time()) or 0) <= 3600
    assert await store.invocations.next_due_in_s(since=time.time() + 3600) is None


async def test_asking_again_joins_a_waiting_run_and_never_one_that_has_begun(store: Store) -> None:
    record = await source(store)
    first = await store.invocations.create_or_join(record.id, TARGET, Origin.WATCH, SomeKeys(("a",)))
    second = await store.invocations.create_or_join(record.id, TARGET, Origin.WATCH, SomeKeys(("b",)))
    assert (second.id, second.request) == (first.id, SomeKeys(("a", "b")))
    whole = await store.invocations.create_or_join(record.id, TARGET, Origin.WATCH)
    assert (whole.id, whole.request) == (first.id, WholeSource())
    other = await store.invocations.create_or_join(record.id, TARGET, Origin.WATCH, WholeSource(ref=GitRef(branch="x")))
    assert other.id != first.id
    await store.invocations.start(first.id)
    assert (await store.invocations.create_or_join(record.id, TARGET, Origin.WATCH)).id not in (first.id, other.id)


async def test_an_invocation_of_an_unknown_source_is_refused(store: Store) -> None:
    with pytest.raises(NotFoundError):
        await store.invocations.create("nobody", TARGET, Origin.API)


async def test_deleting_a_source_cancels_what_waits_and_keeps_the_record_of_what_ran(store: Store) -> None:
    record = await source(store)
    invocation = await store.invocations.create(record.id, TARGET, Origin.API)
    assert await store.sources.delete(record.id)
    after = await store.invocations.get(invocation.id)
    assert after is not None
    assert after.state is State.CANCELLED
    assert not await store.sources.delete(record.id)


async def test_the_newest_invocation_of_each_key_is_found(store: Store) -> None:
    record = await source(store)
    await store.invocations.create(record.id, TARGET, Origin.EVENT, OneObject("a"))
    newest = await store.invocations.create(record.id, TARGET, Origin.EVENT, OneObject("a"))
    found = await store.invocations.latest_by_keys(record.id, ["a", "b"])
    assert {key: invocation.id for key, invocation in found.items()} == {"a": newest.id}


async def test_outcomes_are_listed_by_key_and_state(store: Store) -> None:
    invocation = await store.invocations.create((await source(store)).id, TARGET, Origin.API)
    await store.progress.note(invocation.id, [Outcome("b", "failed", "broken"), Outcome("a", "indexed", chunks=2)])
    assert [o.key for o in await store.invocations.documents(invocation.id)] == ["a", "b"]
    assert [o.reason for o in await store.invocations.documents(invocation.id, state="failed")] == ["broken"]


async def test_the_lag_from_change_to_searchable_counts_what_changed_since_the_source_was_made(store: Store) -> None:
    record = await source(store, "docs")
    collection = await store.collections.open(TARGET, Embedding())
    made_at = record.created_at.timestamp()
    for number, changed_at in enumerate([None, made_at - 1, *(made_at + n * 1e-5 for n in range(1, 101))]):
        key = f"k{number}"
        change = Replacement(collection.id, record.id, key, key, "v", "f", "h", 1, [], changed_at=changed_at)
        await store.documents.stage([change])
    statement = "SELECT recorded_at - changed_at FROM documents WHERE changed_at >= ? ORDER BY 1"
    expected = [lag for (lag,) in await store.documents._db.read(lambda c: c.execute(statement, (made_at,)).fetchall())]
    (lag,) = await store.freshness.lags()
    assert (lag.source_id, lag.name, lag.documents) == (record.id, "docs", 100)
    assert (lag.p50_s, lag.p95_s, lag.p99_s) == (expected[49], expected[94], expected[98])
    assert await store.freshness.lags([record.id]) == [lag]
    assert await store.freshness.lags(["another"]) == []


async def test_lags_follow_what_is_indexed_and_which_collections_answer(store: Store) -> None:
    records = [await source(store, name) for name in ("one", "two")]
    collection = await store.collections.open(TARGET, Embedding())
    asked: list[str] = []

    async def documents() -> dict[str | None, int]:
        asked.clear()
        return {lag.name: lag.documents for lag in await store.freshness.lags()}

    async def index(number: int, key: str) -> None:
        record = records[number]
        changed_at = record.created_at.timestamp() + 1e-5
        await store.documents.stage(
            [Replacement(collection.id, record.id, key, f"{number}{key}", "v", "f", "h", 1, [], changed_at=changed_at)]
        )

    await index(0, "a")
    await index(1, "a")
    assert await documents() == {"one": 1, "two": 1}
    await store.database.read(lambda c: c.set_trace_callback(asked.append))
    await index(1, "b")
    assert await documents() == {"one": 1, "two": 2}
    assert len([statement for statement in asked if "LIMIT 1000" in statement]) == 1
    assert await documents() == {"one": 1, "two": 2}
    assert not [statement for statement in asked if "LIMIT 1000" in statement]
    mark = "INSERT INTO shadows (collection_id, live_id, state, since) VALUES (?1, ?1, 'building', 0)"
    await store.database.write(lambda c: c.execute(mark, (collection.id,)))
    assert await documents() == {}
    await store.database.write(lambda c: c.execute("DELETE FROM shadows"))
    assert await documents() == {"one": 1, "two": 2}
    await store.sources.delete(records[0].id)
    assert await documents() == {"two": 2}


def test_each_database_has_vectors_of_its_own_and_those_of_the_first_are_found_as_ever() -> None:
    keys = {vector_key("m", None, "text", database) for database in ("default_database", "ours", "theirs")}
    assert len(keys) == 3
    assert (
        vector_key("m", None, "text")
        == sha256(b"m\0\0text").digest()
        == vector_key("m", None, "text", "default_database")
    )


async def test_the_first_vector_of_a_text_stays(store: Store) -> None:
    record, key = await source(store), vector_key("m", None, "text")
    await store.vectors.put({key: np.ones(2, np.float32)})
    await store.vectors.put({key: np.zeros(2, np.float32)})
    assert await store.vectors.missing([key, b"other"]) == {b"other"}
    collection = await store.collections.open(TARGET, Embedding())
    chunk = NewChunk("text", "", key, {"chunk_index": 0})
    (staged,) = await store.documents.stage(
        [Replacement(collection.id, record.id, "k", "p", "v", "f", "h", 1, [chunk])]
    )
    (waiting,) = await store.outbox.waiting(collection.id, staged.chunk_ids)
    assert waiting.row is not None
    assert waiting.row.vector.tolist() == [1, 1]


async def test_garbage_collection_spares_vectors_that_chunks_use(store: Store) -> None:
    record = await source(store)
    used, unused = vector_key("m", None, "used"), vector_key("m", None, "unused")
    await store.vectors.put({used: np.ones(2, np.float32), unused: np.ones(2, np.float32)})
    collection = await store.collections.open(TARGET, Embedding())
    chunk = NewChunk("used", "", used, {"chunk_index": 0})
    await store.documents.stage([Replacement(collection.id, record.id, "k", "p", "v", "f", "h", 1, [chunk])])
    assert await store.vectors.collect_garbage(unused_for_s=-1) == 1
    assert await store.vectors.missing([used, unused]) == {unused}


@pytest.mark.parametrize("end", ["removed", "replaced"])
async def test_a_vector_made_long_ago_outlives_by_far_the_chunk_that_used_it_until_now(store: Store, end: str) -> None:
    record, day_s = await source(store), 86_400.0
    used, unused = vector_key("m", None, "used"), vector_key("m", None, "unused")
    await store.vectors.put({used: np.ones(2, np.float32), unused: np.ones(2, np.float32)})
    collection = await store.collections.open(TARGET, Embedding())
    change = Replacement(collection.id, record.id, "k", "p", "v", "f", "h", 1, [NewChunk("used", "", used, {})])
    await store.documents.stage([change])
    await store.database.write(lambda c: c.execute("UPDATE vectors SET used_at = used_at - ?", (100 * day_s,)))
    if end == "removed":
        await store.documents.stage([Removal(collection.id, record.id, "k")])
    else:
        await store.documents.stage([replace(change, chunks=[NewChunk("other", "", b"other", {})])])
    assert await store.vectors.collect_garbage(unused_for_s=90 * day_s) == 1
    assert await store.vectors.missing([used, unused]) == {unused}


async def test_a_vector_found_in_the_cache_counts_as_used_today_and_is_noted_once_a_day(store: Store) -> None:
    record, key, now = await source(store), vector_key("m", None, "text"), time.time()
    await store.vectors.put({key: np.ones(2, np.float32)})
    await store.database.write(lambda c: c.execute("UPDATE vectors SET used_at = 0"))
    collection = await store.collections.open(TARGET, Embedding())
    noted: list[float] = []
    for number in range(2):
        chunk = NewChunk("text", "", key, {})
        change = Replacement(collection.id, record.id, f"k{number}", f"p{number}", "v", "f", "h", 1, [chunk])
        await store.documents.stage([change])
        noted += await store.database.read(lambda c: [at for (at,) in c.execute("SELECT used_at FROM vectors")])
    assert noted[0] == noted[1] >= now


async def test_a_collection_keeps_to_the_embedding_it_was_made_with(store: Store) -> None:
    await store.collections.open(TARGET, Embedding())
    with pytest.raises(ConflictError, match="choose another target collection"):
        await store.collections.open(TARGET, Embedding(model="other"))


async def test_a_token_is_shown_once_and_kept_as_a_hash(store: Store, tmp_path: Path) -> None:
    token = await store.tokens.create("ci", frozenset({"db"}))
    verified = await store.tokens.verify(token)
    assert verified is not None
    assert verified.databases == {"db"}
    assert await store.tokens.verify(token[:-1] + ("a" if token[-1] != "a" else "b")) is None
    assert await store.tokens.verify("sk_nobody_x") is None
    assert await store.tokens.verify("\udcff") is None
    assert token.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("syncd.sqlite*"))


async def test_a_revoked_token_is_useless(store: Store) -> None:
    token = await store.tokens.create("ci", frozenset({"db"}))
    (record,) = await store.tokens.list()
    assert await store.tokens.revoke(record.id)
    assert await store.tokens.verify(token) is None


async def test_credentials_are_unreadable_in_the_file_and_bound_to_their_database(store: Store, tmp_path: Path) -> None:
    number = await store.credentials.add("db", "aws", {"secret": "hunter2-hunter2"})
    assert await store.credentials.get(number, "db") == {"secret": "hunter2-hunter2"}
    assert await store.credentials.exists(number, "db")
    with pytest.raises(NotFoundError):
        await store.credentials.get(number, "other")
    assert b"hunter2" not in b"".join(file.read_bytes() for file in tmp_path.glob("syncd.sqlite*"))


async def test_the_key_file_is_private_and_must_stay_so(tmp_path: Path) -> None:
    await (await Store.open(tmp_path, TYPES)).close()
    key_file = tmp_path / "syncd.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key_file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        await Store.open(tmp_path, TYPES)


async def test_the_key_of_a_systemd_credential_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "syncd-key").write_bytes(bytes(32))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    await (await Store.open(tmp_path / "state", TYPES)).close()
    assert not (tmp_path / "state" / "syncd.key").exists()


async def test_a_database_of_a_newer_syncd_is_refused(tmp_path: Path) -> None:
    await (await Store.open(tmp_path, TYPES)).close()
    with sqlite3.connect(tmp_path / "syncd.sqlite") as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'x')")
    with pytest.raises(ConfigError, match="newer syncd"):
        await Store.open(tmp_path, TYPES)


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "syncd.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match=r"syncd\.sqlite"):
        await Store.open(tmp_path, TYPES)


async def test_a_cancelled_writer_leaves_no_half_transaction(store: Store) -> None:
    async def write_and_cancel() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await source(store, "half")

    await write_and_cancel()
    await source(store, "whole")
    assert "whole" in await store.sources.declared()
    assert await store.database.read(lambda c: c.in_transaction) is False


async def test_a_failing_transaction_is_rolled_back_whole(store: Store) -> None:
    def transaction(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO cursors (source_id, collection_id, cursor) VALUES ('s', 1, 'c')")

    with pytest.raises(sqlite3.IntegrityError):
        await store.database.write(transaction)
    await source(store)
    assert await store.progress.cursor("s", 1, "") is None


async def test_a_cursor_holds_for_the_recipe_it_was_saved_with(store: Store) -> None:
    record, collection = await source(store), await store.collections.open(TARGET, Embedding())
    await store.progress.save_cursor(record.id, collection.id, "recipe", "c")
    assert await store.progress.cursor(record.id, collection.id, "recipe") == "c"
    assert await store.progress.cursor(record.id, collection.id, "another") is None
    await store.progress.drop_cursor(record.id, collection.id, "recipe")
    assert await store.progress.cursor(record.id, collection.id, "recipe") == "c"
    await store.progress.drop_cursor(record.id, collection.id, "another")
    assert await store.progress.cursor(record.id, collection.id, "recipe") is None


async def test_sources_take_turns_among_equally_urgent_invocations(store: Store) -> None:
    records = [await source(store) for _ in range(2)]
    for record, count in zip(records, (TURNS + 9, 2), strict=True):
        for _ in range(count):
            await store.invocations.create(record.id, TARGET, Origin.EVENT)
    backfill = await store.invocations.create(records[1].id, TARGET, Origin.BACKFILL)
    due = await store.invocations.due(1000)
    assert len(due) == TURNS + 3
    assert {one.source_id for one in due[:2]} == {one.source_id for one in due[2:4]} == {it.id for it in records}
    assert due[-1].id == backfill.id
    assert [one.id for one in await store.invocations.due(3)] == [one.id for one in due[:3]]
