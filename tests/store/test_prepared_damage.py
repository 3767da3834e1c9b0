"""One bit flips in a document between parsing and the vector store: it goes nowhere, and its source is asked for it again."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from syncd.model import Chunking, Embedding, SomeKeys, Target
from syncd.model.warnings import DocumentWarning
from syncd.sources.github.settings import GithubSourceSettings
from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.changes import NewChunk, Replacement, Urgency
from syncd.store.outbox import EVERYTHING_HELD
from syncd.store.postings import Posting
from syncd.store.vectors import vector_key

MODEL, COLLECTION, TARGET = "model-of-many-words", 2, Target("db", "docs")
TEXT, CONTEXT, KEY = "A lamp is lit at dusk.", "The lighthouse\n", vector_key("m", None, "a lamp")
WORDS = np.arange(16, dtype="<u4").tobytes()
ROW = b"lamps/keeper.md" + b"a1b2c3" + b"version-7" + b"made-by-9" + b"hash-of-everything"
CHUNK = TEXT.encode() + CONTEXT.encode() + KEY
PLACES = {
    "collection": (ROW, -37),
    "source": (ROW, -3),
    "key": (ROW, 2),
    "key that another document has": (ROW, 11),
    "prefix": (ROW, 17),
    "version": (ROW, 25),
    "fingerprint": (ROW, 32),
    "content hash": (ROW, 44),
    "model": (MODEL.encode(), 3),
    "warnings": (b'"spelling"', 3),
    "text": (CHUNK, 3),
    "context": (CHUNK, len(TEXT) + 5),
    "vector key": (CHUNK, len(CHUNK) - 9),
    "metadata": (b'"symbol":"light"', 11),
    "posting": (CHUNK, len(CHUNK) + 80),
}


def document(collection: int, source: str, key: str = "lamps/keeper.md", prefix: str = "a1b2c3") -> Replacement:
    chunk = NewChunk(TEXT, CONTEXT, KEY, {"chunk_index": 0, "symbol": "light"}, Posting("words", WORDS))
    warnings = [DocumentWarning("spelling", "of lamps")]
    return Replacement(
        collection, source, key, prefix, "version-7", "made-by-9", "hash-of-everything", 1, [chunk], warnings=warnings
    )


@pytest.fixture
async def state(tmp_path):
    """A state folder with one prepared document of one chunk."""
    store = await Store.open(tmp_path, TYPES)
    source = await store.sources.create("github", "db", GithubSourceSettings(repository="a/b"), Embedding(), Chunking())
    await store.collections.open(Target("db", "the first"), Embedding())
    collection = await store.collections.open(TARGET, Embedding())
    assert (collection.id, len(source.id)) == (COLLECTION, 36)
    await store.prepared.put(document(COLLECTION, source.id), MODEL, Urgency.BACKFILL)
    await store.close()
    return tmp_path


def flip(state: Path, needle: bytes, byte: int, bits: int = 1) -> None:
    path = state / "syncd.sqlite"
    content = bytearray(path.read_bytes())
    # An index has models before sources; a row that grew may have left a copy behind, which nobody reads.
    for found in re.finditer(re.escape(needle) + rb"(?![0-9a-f]{8}-)", bytes(content)):
        content[found.start() + byte] ^= bits
    path.write_bytes(content)


async def go_on(store: Store) -> list[str]:
    """Do as the embedding stage does after a start; return the texts that a model is asked for."""
    await store.prepared.discard_orphans()
    texts = [
        text
        for source in await store.prepared.queues(MODEL, is_urgent=False)
        for text in await store.prepared.take(MODEL, source, 9, (), is_urgent=False)
    ]
    await store.prepared.embedded({text.key: np.ones(4, "<f4") for text in texts}, {})
    await store.documents.stage([one.promotion for one in await store.prepared.ready(9, ())])
    return [text.text for text in texts]


async def rows(store: Store, statement: str) -> list[tuple]:
    return await store.database.read(lambda c: c.execute(statement).fetchall())


@pytest.mark.parametrize("place", PLACES)
async def test_a_damaged_document_goes_nowhere_and_is_asked_of_its_source(state, place):
    flip(state, *PLACES[place], bits=4 if place == "key that another document has" else 1)
    store = await Store.open(state, TYPES)
    assert await go_on(store) in ([], [CONTEXT + TEXT])
    assert await rows(store, "SELECT * FROM documents UNION ALL SELECT * FROM documents") == []
    assert await rows(store, "SELECT id FROM prepared UNION ALL SELECT prepared_id FROM prepared_chunks") == []
    assert await rows(store, "SELECT id FROM postings") == []
    (asked,) = await store.invocations.due(9)
    assert (asked.target, asked.request) == (TARGET, SomeKeys(("lamps/keeper.md",)))
    assert await rows(store, "PRAGMA integrity_check") == [("ok",)]
    await store.close()


@pytest.mark.parametrize("place", ["key", "text", "posting"])
async def test_a_verification_counts_it_and_a_repair_asks_for_it(state, place):
    flip(state, *PLACES[place])
    store = await Store.open(state, TYPES)
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=False) == 1
    assert await rows(store, "SELECT count(*) FROM prepared") == [(1,)]
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=True) == 1
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=False) == 0
    assert len(await store.invocations.due(9)) == 1
    await store.close()


async def test_a_key_that_became_another_documents_is_told_from_it(state):
    store = await Store.open(state, TYPES)
    (source,) = await store.sources.list()
    await store.prepared.put(document(COLLECTION, source.id, "lamps/keepes.md", "d4e5f6"), MODEL, Urgency.BACKFILL)
    await store.close()
    flip(state, *PLACES["key that another document has"])
    store = await Store.open(state, TYPES)
    await go_on(store)
    assert await rows(store, "SELECT key FROM documents") == [("lamps/keepes.md",)]
    (asked,) = await store.invocations.due(9)
    assert asked.request == SomeKeys(("lamps/keeper.md",))
    assert await rows(store, "PRAGMA integrity_check") == [("ok",)]
    await store.close()


async def test_of_a_row_with_more_wrong_bits_its_sources_are_looked_at_whole(state):
    store = await Store.open(state, TYPES)
    (source,) = await store.sources.list()
    await store.progress.save_cursor(source.id, COLLECTION, "recipe", json.dumps({"sha": "0123"}))
    await store.close()
    flip(state, *PLACES["key"], bits=7)
    store = await Store.open(state, TYPES)
    await go_on(store)
    assert await rows(store, "SELECT key FROM documents UNION ALL SELECT key FROM prepared") == []
    assert await store.progress.cursor(source.id, COLLECTION, "recipe") is None
    await store.close()


async def test_a_damaged_text_is_no_hit(state):
    store = await Store.open(state, TYPES)
    assert (await store.chunks.get(COLLECTION, ["a1b2c3-0"]))["a1b2c3-0"].text == TEXT
    await store.close()
    flip(state, *PLACES["text"])
    store = await Store.open(state, TYPES)
    assert await store.chunks.get(COLLECTION, ["a1b2c3-0"]) == {}
    await store.close()


async def test_what_an_older_syncd_prepared_counts_as_sound(state):
    store = await Store.open(state, TYPES)

    def forget(connection) -> None:
        connection.execute("UPDATE prepared SET checksum = NULL")
        connection.execute(
            "UPDATE prepared_chunks SET (checksum, lineage_checksum, posting_checksum) = (NULL, NULL, NULL)"
        )

    await store.database.write(forget)
    assert await store.repairs.examine(COLLECTION, EVERYTHING_HELD, repair=True) == 0
    assert await go_on(store) == [CONTEXT + TEXT]
    assert await rows(store, "SELECT key, version FROM documents") == [("lamps/keeper.md", "version-7")]
    await store.close()
