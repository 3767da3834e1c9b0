"""Pages of the state database are scrambled: the daemon says what to do, and what can be read of it is kept."""

import json
import random

import pytest

from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import Daemon, held
from tests.faults.processes import indexed, watching, write

FILES = 40
PAGE_BYTES = 4096


def scramble(daemon: Daemon, *words: str) -> int:
    """Overwrite every page of the database that has one of these words; return how many."""
    path = daemon.state / "syncd.sqlite"
    content, chance, scrambled = bytearray(path.read_bytes()), random.Random(1), 0
    for start in range(PAGE_BYTES, len(content), PAGE_BYTES):
        if any(word.encode() in content[start : start + PAGE_BYTES] for word in words):
            content[start : start + PAGE_BYTES] = chance.randbytes(PAGE_BYTES)
            scrambled += 1
    path.write_bytes(content)
    return scrambled


def collection(daemon: Daemon):
    chroma = daemon.announced()["chroma"]
    return held(chroma["host"], chroma["port"], "code")


@pytest.fixture
def synced(minilm_folder, tmp_path):
    folder = tmp_path / "watched"
    folder.mkdir()
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, watching(folder))).start()
    until(lambda: write(folder, "file", FILES) <= indexed(daemon) and not daemon.unsettled())
    yield daemon
    assert daemon.process is not None
    if daemon.process.poll() is None:
        assert daemon.stop() == 0


def test_a_scrambled_database_is_refused_with_advice_and_recovered_and_the_rest_is_synced_again(synced):
    before = collection(synced)
    assert synced.stop() == 0
    assert scramble(synced, "function_17(value)", "file_23.py") >= 2
    synced.launch()
    assert synced.wait_dead() == 78
    assert "syncd doctor --recover" in synced.log()
    assert (found := syncd(synced, "doctor")).returncode == 1
    assert "is damaged" in found.stdout.replace("\n", " ")
    recovered = syncd(synced, "doctor", "--recover", "--json")
    assert recovered.returncode == 0, recovered.stderr
    saved = json.loads(recovered.stdout)
    assert "chunks" in saved["damaged_tables"]
    assert saved["rows"].get("chunks", 0) < len(before.rows)
    synced.start()
    until(lambda: len(indexed(synced)) == FILES and not synced.unsettled())
    until(lambda: len(collection(synced).rows) == len(before.rows))
    collection(synced).assert_equals(before)
    (embedded,) = synced.rows("SELECT sum(json_extract(counts, '$.chunks_embedded')) FROM invocations WHERE seq > 1")[0]
    assert embedded < len(before.rows)
