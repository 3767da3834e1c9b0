"""Words that are on disk rank as if all were in memory, after any restart, and a file that is lost or damaged costs no hit."""

import asyncio
import random
import sqlite3

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.model import Embedding, SparseVector, Target
from syncd.search import index_cache, lexical
from syncd.search.index_cache import IndexCache
from syncd.search.lexical import InvertedIndex
from syncd.sources.registry import TYPES
from syncd.store import Store, posting_changes, word_file
from syncd.store.changes import NewChunk, Replacement
from syncd.store.postings import Posting
from syncd.store.sparse_codec import packed

MODELS = ("words#2", "words#1")
QUERY = SparseVector(np.array([0, 1, 5, 40, 2**32 - 1], np.uint32), np.array([1.0, 0.5, 2.0, 3.0, 1.5]))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Four rows are much, and three stored parts many."""
    monkeypatch.setattr(index_cache, "MAX_ROWS_IN_MEMORY", 4)
    monkeypatch.setattr(lexical, "STORED_MERGE_FACTOR", 3)


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path, TYPES)
    yield opened
    await opened.close()


async def collection_of(store, name="docs") -> int:
    return (await store.collections.open(Target("default_database", name), Embedding(model="hash"))).id


def vector_of(seed: int) -> SparseVector:
    chance = np.random.default_rng(seed)
    terms = np.unique(chance.choice([0, 1, 5, 40, 7, 2**32 - 1, 2**31], 4)).astype(np.uint32)
    return SparseVector(terms, chance.random(len(terms)).astype(np.float32).astype(np.float64))


async def write(store, collection: int, key: str, seeds, model=MODELS[0]) -> None:
    """Write a document of a chunk per seed; of none: delete it."""
    chunks = [NewChunk(f"text {seed}", "", b"%d" % seed, {}, Posting(model, packed(vector_of(seed)))) for seed in seeds]
    await store.documents.stage(
        [Replacement(collection, "source", key, f"prefix-of-{key}", "1", "made", "hash", 1, chunks)]
    )


async def scores_of(cache, collection: int):
    """The ids and scores of what is there, row by row."""
    found = await cache.scored(collection, dict.fromkeys(MODELS, QUERY), uses_idf=True)
    return {int(i): (int(d), s) for i, d, s in zip(found.postings, found.documents, found.scores, strict=True) if s}


async def expected(store, collection: int):
    """The same by an index in memory of what is in the store."""
    found = {}
    selected = "SELECT id, document_id, vector FROM postings WHERE collection_id = ? AND model = ? ORDER BY id"
    for model in MODELS:
        rows = await store.database.read(lambda c, model=model: c.execute(selected, (collection, model)).fetchall())
        index = InvertedIndex()
        for ident, document, vector in rows:
            pairs = np.frombuffer(vector, [("term", "<u4"), ("weight", "<f4")])
            columns = (np.ascontiguousarray(pairs["term"]), np.ascontiguousarray(pairs["weight"]))
            index.add(np.array([ident]), np.array([document]), np.array([len(pairs)]), *columns)
        found |= {i: (d, s) for (i, d, _), s in zip(rows, index.scores(QUERY, uses_idf=True), strict=True) if s}
    return found


def numbers_in(path, table="parts") -> int:
    with sqlite3.connect(path / "words.sqlite") as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


changes = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abcdef"), st.lists(st.integers(0, 500), max_size=6), st.sampled_from(MODELS)),
        st.sampled_from(["search", "restart", "lose the file"]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_the_scores_are_those_of_an_index_in_memory_whatever_came_went_and_was_restarted(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("state")

    async def history():
        store = await Store.open(folder, TYPES)
        collection, cache = await collection_of(store), IndexCache(store.postings, store.words)
        for step in steps:
            match step:
                case "search":
                    assert await scores_of(cache, collection) == await expected(store, collection)
                case "restart" | "lose the file":
                    await store.close()
                    if step != "restart":
                        (folder / "words.sqlite").unlink()
                    store = await Store.open(folder, TYPES)
                    cache = IndexCache(store.postings, store.words)
                case key, seeds, model:
                    await write(store, collection, key, seeds, model)
        assert await scores_of(cache, collection) == await expected(store, collection)
        await store.close()

    asyncio.run(history())


async def test_after_a_restart_only_what_is_not_on_disk_yet_is_read_again(tmp_path, monkeypatch):
    store = await Store.open(tmp_path, TYPES)
    collection = await collection_of(store)
    for number in range(9):
        await write(store, collection, f"{number}", range(2 * number, 2 * number + 2))
        await scores_of(IndexCache(store.postings, store.words), collection)
    await store.close()

    store, read = await Store.open(tmp_path, TYPES), []
    changes_of = store.postings.changes

    async def told(*arguments):
        page = await changes_of(*arguments)
        read.extend(len(new.ids) for new in page.new.values())
        return page

    monkeypatch.setattr(store.postings, "changes", told)
    assert await scores_of(IndexCache(store.postings, store.words), collection) == await expected(store, collection)
    assert sum(read) < index_cache.MAX_ROWS_IN_MEMORY
    await store.close()


async def test_what_ends_with_a_page_is_put_on_disk_too(store, tmp_path, monkeypatch):
    monkeypatch.setattr(posting_changes, "PAGE_ROWS", 4)
    collection = await collection_of(store)
    await write(store, collection, "a", range(8))
    assert await scores_of(IndexCache(store.postings, store.words), collection) == await expected(store, collection)
    assert numbers_in(tmp_path) == 1


async def test_parts_stay_few_and_hold_nothing_that_was_removed(store, tmp_path):
    collection, cache = await collection_of(store), IndexCache(store.postings, store.words)
    for number in range(40):
        await write(store, collection, f"{number}", range(4))
        await scores_of(cache, collection)
    assert numbers_in(tmp_path) <= 8
    for number in range(40):
        await write(store, collection, f"{number}", [])
    await write(store, collection, "last", range(4))
    assert await scores_of(cache, collection) == await expected(store, collection)
    assert numbers_in(tmp_path) == 1


@pytest.mark.parametrize("table", ["blocks", "parts"])
async def test_damage_on_disk_is_found_and_everything_made_anew(store, tmp_path, table):
    collection, other = await collection_of(store), await collection_of(store, "other")
    for into in (collection, other):
        await write(store, into, "a", range(8))
        await scores_of(IndexCache(store.postings, store.words), into)
    column = {"blocks": "lists", "parts": "ids"}[table]
    with sqlite3.connect(tmp_path / "words.sqlite") as connection:
        for ident, content in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            place = random.Random(ident).randrange(len(content))
            flipped = bytes(byte ^ (n == place) for n, byte in enumerate(content))
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (flipped, ident))
    cache = IndexCache(store.postings, store.words)
    for into in (collection, other, collection):
        await write(store, into, "b", range(20, 28))
        assert await scores_of(cache, into) == await expected(store, into)
    assert not (tmp_path / "words.sqlite").exists()


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
async def test_a_file_that_is_none_is_made_anew(tmp_path, content):
    (tmp_path / "words.sqlite").write_bytes(content)
    store = await Store.open(tmp_path, TYPES)
    collection = await collection_of(store)
    await write(store, collection, "a", range(8))
    assert await scores_of(IndexCache(store.postings, store.words), collection) == await expected(store, collection)
    assert numbers_in(tmp_path) == 1
    await store.close()


async def test_words_of_another_database_or_of_a_collection_that_is_gone_are_dropped(tmp_path):
    store = await Store.open(tmp_path, TYPES)
    for name in ("docs", "gone"):
        await write(store, await collection_of(store, name), name, range(8))
        await scores_of(IndexCache(store.postings, store.words), await collection_of(store, name))
    await store.database.write(lambda c: c.execute("DELETE FROM collections WHERE name = 'gone'"))
    await store.close()
    store = await Store.open(tmp_path, TYPES)
    assert numbers_in(tmp_path) == 1
    await store.close()

    for file in tmp_path.glob("syncd.sqlite*"):
        file.unlink()
    store = await Store.open(tmp_path, TYPES)
    assert numbers_in(tmp_path) == 0
    await store.close()


async def test_words_that_were_deleted_after_the_database_was_copied_are_found_when_the_copy_is_put_back(tmp_path):
    store = await Store.open(tmp_path, TYPES)
    collection = await collection_of(store)
    for key in "abcd":
        await write(store, collection, key, range(4))
    await scores_of(IndexCache(store.postings, store.words), collection)
    await store.close()
    copy = (tmp_path / "syncd.sqlite").read_bytes()
    store = await Store.open(tmp_path, TYPES)
    for key in "abc":
        await write(store, collection, key, [])
        await scores_of(IndexCache(store.postings, store.words), collection)
    await store.close()
    (tmp_path / "syncd.sqlite").write_bytes(copy)
    store = await Store.open(tmp_path, TYPES)
    found = await scores_of(IndexCache(store.postings, store.words), collection)
    assert found == await expected(store, collection)
    await store.close()


async def test_the_log_of_deleted_postings_is_cut_to_what_was_not_read(store):
    collection, cache = await collection_of(store), IndexCache(store.postings, store.words)

    async def logged() -> int:
        return (await store.database.read(lambda c: c.execute("SELECT count(*) FROM postings_gone").fetchone()))[0]

    await write(store, collection, "a", range(8))
    await scores_of(cache, collection)
    await write(store, collection, "a", range(4))
    await cache.read_ahead(collection, ["m"])
    assert await logged() == 4
    assert await scores_of(cache, collection) == await expected(store, collection)
    await cache.read_ahead(collection, ["m"])
    assert await logged() == 0
    await write(store, collection, "a", range(2))
    unread = IndexCache(store.postings, store.words)
    await unread.read_ahead(collection, ["m"])
    assert await logged() == 0
    assert await scores_of(unread, collection) == await expected(store, collection)


async def test_what_a_full_disk_does_not_take_stays_in_memory_until_there_is_room(store, tmp_path, monkeypatch):
    collection, cache = await collection_of(store), IndexCache(store.postings, store.words)

    def full(_connection, _transaction):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(word_file, "committed", full)
        await write(store, collection, "a", range(8))
        assert await scores_of(cache, collection) == await expected(store, collection)
    assert numbers_in(tmp_path) == 0
    await write(store, collection, "b", [9])
    assert await scores_of(cache, collection) == await expected(store, collection)
    assert numbers_in(tmp_path) == 1


async def test_words_of_many_chunks_are_read_before_a_search_asks_for_them(store, monkeypatch):
    monkeypatch.setattr(index_cache, "MAX_ROWS_BEHIND", 10)
    collection, cache = await collection_of(store), IndexCache(store.postings, store.words)
    await write(store, collection, "a", range(10))
    await cache.read_ahead(collection, MODELS)
    assert await store.words.seen(collection, MODELS) == 0
    await write(store, collection, "b", range(10, 11))
    await cache.read_ahead(collection, MODELS)
    assert await store.words.seen(collection, MODELS) == 11
    await write(store, collection, "c", [11])
    await cache.read_ahead(collection, MODELS)
    assert await store.words.seen(collection, MODELS) == 11
    assert await scores_of(cache, collection) == await expected(store, collection)


async def test_what_another_model_made_is_read_ahead_once(store, monkeypatch):
    monkeypatch.setattr(index_cache, "MAX_ROWS_BEHIND", 10)
    collection, cache, read = await collection_of(store), IndexCache(store.postings, store.words), []
    changes = store.postings.changes

    async def counted(*arguments):
        read.append(arguments)
        return await changes(*arguments)

    monkeypatch.setattr(store.postings, "changes", counted)
    await write(store, collection, "a", range(20), model="another")
    await cache.read_ahead(collection, MODELS)
    times = len(read)
    await cache.read_ahead(collection, MODELS)
    assert len(read) == times > 0


async def test_into_a_file_that_was_given_up_nothing_is_read_ahead(store, monkeypatch):
    monkeypatch.setattr(index_cache, "MAX_ROWS_BEHIND", 10)
    collection, cache = await collection_of(store), IndexCache(store.postings, store.words)
    await write(store, collection, "a", range(20))
    await cache.read_ahead(collection, MODELS)
    store.words.give_up()
    await cache.read_ahead(collection, MODELS)
    assert await store.words.seen(collection, MODELS) is None


async def test_collections_beyond_the_limit_are_loaded_again(store):
    cache = IndexCache(store.postings, store.words, max_size_bytes=0)
    collections = [await collection_of(store, name) for name in ("one", "two", "three")]
    for turn in range(3):
        for number, collection in enumerate(collections):
            await write(store, collection, f"{turn}", range(10 * number + turn, 10 * number + turn + 5))
            assert await scores_of(cache, collection) == await expected(store, collection)
