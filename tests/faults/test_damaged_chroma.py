"""Files of our own Chroma server are damaged: each fault is noticed, said, and healed from the store while other collections go on."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from chromadb.errors import ChromaError

from tests.faults.synced import Synced, write_notes

PART = "kites of many colours"
ROWS = 1100
"""More than Chroma 1.5.9 keeps out of its index files (hnsw:sync_threshold, 1000)."""


def flip(file: Path, start: int, count: int) -> None:
    content = bytearray(file.read_bytes())
    content[start : start + count] = bytes(byte ^ 0xFF for byte in content[start : start + count])
    file.write_bytes(content)


def shift(file: Path) -> None:
    """Exchange the vectors of records, so that they no longer find themselves."""
    content = file.read_bytes()
    size = len(content) // ROWS
    records = [content[start : start + size] for start in range(0, ROWS * size, size)]
    vectors = slice(size - 384 * 4 - 8, size - 8)
    moved = [
        one[: vectors.start] + other[vectors] + one[vectors.stop :]
        for one, other in zip(records, records[1:] + records[:1], strict=True)
    ]
    file.write_bytes(b"".join(moved) + content[ROWS * size :])


HARMS = {
    "links": lambda folder: flip(folder / "data_level0.bin", 0, 132),
    "header": lambda folder: flip(folder / "header.bin", 8, 40),
    "shifted": lambda folder: shift(folder / "data_level0.bin"),
}
"""By the collection that suffers it: Chroma dies of it, cannot read it, does not notice it."""


@pytest.fixture(scope="module")
def synced(tmp_path_factory):
    folders = tmp_path_factory.mktemp("folders")
    notes = {name: write_notes(folders / name, 2, ROWS // 2) for name in HARMS} | {
        "sound": write_notes(folders / "sound", 1, 6)
    }
    synced = Synced.start(tmp_path_factory.mktemp("daemon"), notes, "probe_interval_s = 3")
    yield synced
    assert synced.daemon.stop() == 0


def chroma_folder(synced: Synced) -> Path:
    return synced.daemon.state / "chroma"


def vectors_of(synced: Synced, name: str) -> Path | None:
    """Return the folder of a collection's index files; None while there is no such collection."""
    with sqlite3.connect(chroma_folder(synced) / "chroma.sqlite3") as connection:
        statement = "SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE c.name = ? AND s.scope = 'VECTOR'"
        row = connection.execute(statement, (name,)).fetchone()
    return chroma_folder(synced) / row[0] if row else None


def test_damaged_indexes_are_rebuilt_without_embedding_while_words_answer_and_others_go_on(synced):
    embedded = synced.vectors()
    folders = {name: vectors_of(synced, name) for name in HARMS}
    assert synced.daemon.stop() == 0
    for name, harm in HARMS.items():
        harm(folders[name])
    synced.daemon.start()
    for name in HARMS:
        status, answer = synced.search(name, PART)
        assert (status, bool(answer["hits"])) == (200, True)
    synced.daemon.wait_until(lambda: synced.health() != "")
    for name, folder in folders.items():
        synced.daemon.wait_until(lambda name=name, folder=folder: vectors_of(synced, name) not in (None, folder))
    synced.wait_whole()
    assert synced.search("sound", PART, "dense")[0] == 200
    assert synced.vectors() == embedded
    assert [synced.verify(name)[1]["unreadable"] for name in HARMS] == [None] * len(HARMS)


def test_an_index_that_chroma_dies_of_as_soon_as_a_client_of_its_own_reads_it_is_rebuilt(synced):
    embedded, folder = synced.vectors(), vectors_of(synced, "links")
    assert synced.daemon.stop() == 0
    HARMS["links"](folder)
    synced.daemon.start()
    is_over = threading.Event()

    def read_on() -> None:
        while not is_over.is_set():
            with suppress(ChromaError, ValueError, httpx.TransportError):
                synced.held("links")

    with ThreadPoolExecutor(2) as readers:
        for _ in range(2):
            readers.submit(read_on)
        try:
            synced.daemon.wait_until(lambda: vectors_of(synced, "links") not in (None, folder))
        finally:
            is_over.set()
    synced.wait_whole()
    assert synced.vectors() == embedded


def test_a_damaged_database_is_set_aside_and_everything_filled_from_the_store(synced):
    embedded = synced.vectors()
    assert synced.daemon.stop() == 0
    file = chroma_folder(synced) / "chroma.sqlite3"
    file.write_bytes(file.read_bytes()[:20_000])
    synced.daemon.start()
    synced.daemon.wait_until(lambda: (chroma_folder(synced).parent / "chroma.damaged/chroma.sqlite3").exists())
    synced.daemon.wait_until(lambda: synced.health() != "")
    synced.wait_whole()
    assert synced.vectors() == embedded
