"""The power fails at any moment of a daemon's life, or a bit flips in its state folder while it does not run.

Whatever was not synced is gone, and nothing that was acknowledged may be; no answer is wrong without a word.
"""

import random
import sqlite3
from contextlib import closing

import pytest

from tests.faults.flips import CHECKS, flips
from tests.faults.power import STOPPED, History
from tests.faults.truth import Difference

SEED = 15
RECOVERIES, LOSSES, FLIPS = 3, 20, 2


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    history = History(tmp_path_factory.mktemp("power"))
    history.write_down(random.Random(SEED))
    seen = history.unseen()
    assert [name for name in seen if not name.endswith("-shm")] == [], "the trace lacks something"
    return history


def forgotten(history: History, acknowledged: list[str]) -> set[str]:
    """Return the acknowledged uploads of which the state folder knows nothing any more."""
    with closing(sqlite3.connect(history.state / "syncd.sqlite")) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        indexed = {key for (key,) in connection.execute("SELECT key FROM documents WHERE state = 'indexed'")}
        waiting = dict(
            connection.execute(
                "SELECT json_extract(request, '$.object_key'), json_extract(request, '$.file') FROM invocations "
                "WHERE state IN ('pending', 'processing')"
            )
        )
    on_disk = {key for key, file in waiting.items() if file and (history.state / "uploads" / file).exists()}
    return set(acknowledged) - indexed - on_disk


def test_whenever_the_power_fails_the_daemon_recovers_to_what_an_undisturbed_one_holds(history):
    for cut, acknowledged in history.disks(history.cuts(random.Random(SEED), RECOVERIES)):
        recovery = history.recovered(acknowledged)
        assert recovery.wrong == Difference(), (cut, recovery)


def check(history: History, is_synced: bool) -> None:
    """Look at the state folder after many losses, on a disk that syncs or one that only says so."""
    for cut, acknowledged in history.disks(history.cuts(random.Random(SEED + 1), LOSSES), lambda _record: is_synced):
        assert not (acknowledged and forgotten(history, acknowledged)), cut


def test_whenever_the_power_fails_the_state_folder_still_has_what_was_acknowledged(history):
    check(history, is_synced=True)


def test_a_power_loss_leaves_word_of_a_chroma_that_ran_and_all_files_of_one_that_stopped_politely(history):
    moments = ((number, disk) for number, disk in enumerate(history.moments(), 1) if number in history.marks)
    for _number, disk in moments:
        lasting, there = disk.lasting(), disk.files()
        if disk.marks[-1] == STOPPED:
            assert {name for name in there if name.startswith("chroma/") and lasting.get(name) != there[name]} == set()
        else:
            assert lasting["chroma.lock"], disk.marks


def test_a_disk_that_only_says_that_it_synced_is_caught(history):
    with pytest.raises((AssertionError, sqlite3.DatabaseError)):
        check(history, is_synced=False)


def test_whichever_bit_flips_in_the_state_folder_the_daemon_heals_it_or_says_what_to_do(history):
    for flip, acknowledged in flips(history, random.Random(SEED), FLIPS):
        recovery = history.recovered(acknowledged, CHECKS)
        assert recovery.advises or recovery.wrong == Difference(), (flip, recovery)
