"""One bit flips in the database's file, inside a page that stays valid: it is noticed, and set right where it is."""

import json
from pathlib import Path

import numpy as np
import pytest

from syncd.model import Chunking, Embedding, SomeKeys, Target
from syncd.sources.github.settings import GithubSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Replacement
from syncd.store.outbox import EVERYTHING_HELD
from syncd.store.postings import Posting
from syncd.store.vectors import vector_key

COLLECTION = 2
TARGET = Target("db", "docs")
TEXT, CONTEXT, KEY = "A lamp is lit at dusk.", "The lighthouse\n", vector_key("m", None, "a lamp")
VECTOR, WORDS = np.linspace(1, 2, 32, dtype="<f4"), np.arange(16, dtype="<u4").tobytes()
CURSOR = json.dumps({"sha": "0123456789abcdef"})
DOCUMENT = ("lamps/keeper.md", "a1b2c3", "version-7", "made-by-9", "indexed")
CHUNK = TEXT.encode() + CONTEXT.encode() + KEY

PLACES = {
    "text": (CHUNK, 3),
    "context": (CHUNK, len(TEXT) + 5),
    "vector key": (CHUNK, len(CHUNK) - 9),
    "metadata": (b'"symbol":"light"', 11),
    "vector": (VECTOR.tobytes(), 70),
    "posting": (WORDS, 33),
    "key": ("".join(DOCUMENT).encode(), 2),
    "prefix": ("".join(DOCUMENT).encode(), 17),
    "version": ("".join(DOCUMENT).encode(), 25),
    "fingerprint": ("".join(DOCUMENT).encode(), 32),
    "state": ("".join(DOCUMENT).encode(), 41),
    "content hash": (b"hash-of-everything", 4),
    "collection": ("".join(DOCUMENT).encode(), -37),
}


@pytest.fixture
async def state(tmp_path):
    """A state folder with a document of one chunk, written and recorded, and a cursor."""
    store = await Store.open(tmp_path, TYPES)
    source = await store.sources.create(
        "github", "db", GithubSourceSettings(repository="a/b"), Embedding(), Chunking(), "docs"
    )
    await store.collections.open(Target("db", "the first"), Embedding())
    collection = await store.collections.open(TARGET, Embedding())
    assert (collection.id, len(source.id)) == (COLLECTION, 36)
    await store.vectors.put({KEY: VECTOR})
    chunk = NewChunk(TEXT, CONTEXT, KEY, {"chunk_index": 0, "symbol": "light"}, Posting("words", WORDS))
    key, prefix, version, fingerprint, _ = DOCUMENT
    change = Replacement(collection.id, source.id, key, prefix, version, fingerprint, "hash-of-everything", 1, [chunk])
    (staged,) = await store.documents.stage([change])
    await store.outbox.clear(collection.id, await store.outbox.waiting(collection.id, staged.chunk_ids))
    await store.progress.save_cursor(source.id, collection.id, "recipe", CURSOR)
    await store.close()
    return tmp_path


def flip(state: Path, needle: bytes, byte: int, bits: int = 1) -> None:
    """Flip bits of a byte of what stands once in the database's file."""
    path = state / "syncd.sqlite"
    content = bytearray(path.read_bytes())
    assert content.count(needle) == 1
    content[content.index(needle) + byte] ^= bits
    path.write_bytes(content)


async def everything(store: Store) -> list[tuple]:
    """Return all that is stored of documents."""
    columns = "d.source_id, d.key, d.prefix, d.version, d.fingerprint, d.state, d.content_hash, d.collection_id"
    statement = (
        f"SELECT {columns}, c.text, c.context, c.vector_key, c.metadata, v.vector, p.vector, d.checksum, c.lineage_checksum FROM documents d "
        "LEFT JOIN chunks c ON c.document_id = d.id LEFT JOIN vectors v ON v.key = c.vector_key "
        "LEFT JOIN postings p ON p.document_id = d.id AND p.number = c.number"
    )
    return await store.database.read(lambda c: c.execute(statement).fetchall())


async def damaged_chunks(store: Store) -> list[str]:
    return [row.id async for page in store.outbox.rows(COLLECTION) for row in page if not row.is_sound]


@pytest.mark.parametrize("place", PLACES)
async def test_a_flipped_bit_is_noticed_and_set_right_without_asking_anybody(state, place):
    store = await Store.open(state, TYPES)
    right = await everything(store)
    await store.close()
    flip(state, *PLACES[place])
    store = await Store.open(state, TYPES)
    documents = await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=False)
    chunks = await damaged_chunks(store)
    assert (documents, len(chunks)) in ((1, 0), (0, 1))
    assert await everything(store) != right
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=True) == documents
    assert await store.repairs.repair(COLLECTION, chunks) == chunks
    assert await everything(store) == right
    assert await store.invocations.due(9) == []
    assert await store.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
    await store.close()


async def test_a_key_that_became_another_documents_is_set_right(state):
    store = await Store.open(state, TYPES)
    (source,) = await store.sources.list()
    other = Replacement(COLLECTION, source.id, "lalps/keeper.md", "d4e5f6", "version-8", "made-by-9", "another", 1, [])
    await store.documents.stage([other])
    right = await everything(store)
    await store.close()
    flip(state, *PLACES["key"])
    store = await Store.open(state, TYPES)
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=True) == 1
    assert await everything(store) == right
    assert await store.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
    await store.close()


@pytest.mark.parametrize("place", ["metadata", "vector key", "key", "version"])
async def test_what_more_than_one_bit_of_is_wrong_is_asked_of_its_source(state, place):
    flip(state, *PLACES[place], 7)
    store = await Store.open(state, TYPES)
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=True) + len(await damaged_chunks(store)) == 1
    assert await store.repairs.repair(COLLECTION, await damaged_chunks(store)) == []
    (asked,) = await store.invocations.due(9)
    assert isinstance(asked.request, SomeKeys)
    assert await store.database.read(lambda c: c.execute("SELECT version FROM documents").fetchall()) == [("",)]
    await store.close()


async def test_a_damaged_cursor_is_none(state):
    store = await Store.open(state, TYPES)
    (source,) = await store.sources.list()
    assert await store.progress.cursor(source.id, COLLECTION, "recipe") == CURSOR
    await store.close()
    flip(state, CURSOR.encode(), 12)
    store = await Store.open(state, TYPES)
    assert await store.progress.cursor(source.id, COLLECTION, "recipe") is None
    assert await store.progress.reached(source.id, TARGET) is None
    await store.close()


async def test_rows_of_an_older_syncd_count_as_sound_and_get_checksums_when_they_are_examined(state):
    store = await Store.open(state, TYPES)
    right = await everything(store)

    def forget(connection) -> None:
        connection.execute("UPDATE documents SET checksum = NULL")
        connection.execute("UPDATE chunks SET lineage_checksum = NULL")

    await store.database.write(forget)
    assert await damaged_chunks(store) == []
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=True) == 0
    assert await everything(store) == right
    await store.documents.update_version(COLLECTION, right[0][0], DOCUMENT[0], "version-8", 2)
    assert (await everything(store))[0][-2] is None
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=True) == 0
    await store.close()
