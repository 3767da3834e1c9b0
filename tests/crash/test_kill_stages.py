"""SIGKILL in every stage between a document's bytes and its run's end: the collection equals that of a calm run, nothing that was
durable is done again, and nobody has heard of what the vector store has not.

The same check refuses a daemon that replies after preparing, one that records before it writes, and one that prepares again.
"""

import random
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.history import section
from tests.crash.journal import PREPARED, REPLIED, VECTORS, Journal, Moment, journalled
from tests.crash.killing import collection_of
from tests.daemon import MINILM, Daemon, Held

FILES = 40
TIMES = {Moment.PREPARING: 8, Moment.PREPARED: 12, Moment.EMBEDDING: 3, Moment.EMBEDDED: 2, Moment.REPLIED: 5}
"""The so-many-th time is the last one, so that something is done by then and something is not; other moments kill the first time."""


@dataclass(frozen=True)
class Place:
    """Where all daemons of this module sync from, compute and write to."""

    folder: Path
    models: Path
    chroma: str

    def configuration(self, collection: str) -> str:
        return f"""
[api]
port = 0
[chroma]
{self.chroma}
[embedding]
default_model = "{MINILM}"
models_dir = "{self.models}"
threads = 1
[folder]
allowed_roots = ["{self.folder}"]
[[sources]]
name = "files"
type = "folder"
path = "{self.folder}"
collection = "{collection}"
chunking = {{ target_size_bytes = 100 }}
"""


@pytest.fixture(scope="module")
def place(chroma_server, minilm_folder, tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("files"), random.Random(0)
    for number in range(FILES):
        (folder / f"{number}.md").write_text("".join(section(rng) for _ in range(4)))
    return Place(folder, minilm_folder, f'mode = "server"\nhost = "{chroma_server.host}"\nport = {chroma_server.port}')


def synced(daemon: Daemon, collection: str) -> Held:
    """Let a daemon sync everything, stop it, and return what the collection holds."""
    daemon.start()
    try:
        daemon.wait_until(lambda: bool(daemon.rows("SELECT 1 FROM invocations")) and daemon.unsettled() == 0)
        held = collection_of(daemon, collection)
        assert daemon.stop() == 0
        return held
    finally:
        daemon.kill()


@pytest.fixture(scope="module")
def calm(place, tmp_path_factory):
    held = synced(Daemon(tmp_path_factory.mktemp("calm"), place.configuration("calm-stages")), "calm-stages")
    assert len(held.rows) > 2 * FILES
    return held


class Life:
    """One daemon that dies at a moment, and what has been written down of it."""

    def __init__(self, place: Place, folder: Path, collection: str, *mistake: str) -> None:
        self.journal = Journal(folder / "journal")
        self.collection = collection
        self._daemon = Daemon(folder / "daemon", place.configuration(collection))
        self._mistake = mistake

    def until(self, moment: Moment) -> Held:
        """Live until that moment; return what the vector store has then."""
        self._daemon.program = journalled(self.journal, f"{moment}:{TIMES.get(moment, 1)}", *self._mistake)
        self._daemon.start()
        try:
            assert self._daemon.wait_dead() == -signal.SIGKILL, self._daemon.log()
        finally:
            self._daemon.kill()
        self.journal.died(self._daemon)
        return collection_of(self._daemon, self.collection)

    def is_settled(self) -> bool:
        return self._daemon.unsettled() == 0

    def to_the_end(self) -> Held:
        """Live on, undisturbed, until everything is synced."""
        self._daemon.program = journalled(self.journal, "-", *self._mistake)
        return synced(self._daemon, self.collection)


def die_and_live(life: Life, moment: Moment, calm: Held) -> None:
    """Die at a moment and live on. Raises AssertionError for whatever must not come of it."""
    at_death = life.until(moment)
    replied = life.journal.stage(REPLIED).durable
    assert not life.is_settled() or set(at_death.rows) == set(calm.rows), (
        "a run is over and the vector store lacks rows"
    )
    for key in replied:
        ids = {row_id for row_id, (_, metadata) in calm.rows.items() if metadata["path"] == key}
        assert ids, key
        assert ids <= set(at_death.rows), f"{key} is said to be indexed and the vector store lacks it"
    in_hand = {stage: life.journal.stage(stage).in_hand for stage in (PREPARED, VECTORS)}
    end = life.to_the_end()
    assert set(end.rows) == set(calm.rows), "the collection lacks rows, or has some too many"
    end.assert_equals(calm)
    life.journal.assert_nothing_twice()
    for name, count in ((PREPARED, FILES), (VECTORS, len({text for text, _ in calm.rows.values()}))):
        stage = life.journal.stage(name)
        assert len(stage.begun) == count, name
        assert stage.begun.total() == count + len(in_hand[name]), name


@pytest.mark.parametrize("moment", Moment)
def test_death_in_a_stage_repeats_what_was_in_hand_there_and_nothing_else(moment, place, calm, tmp_path, fresh_name):
    life = Life(place, tmp_path, fresh_name)
    die_and_live(life, moment, calm)


@pytest.mark.parametrize(
    ("mistake", "moment", "complaint"),
    [
        ("replies-early", Moment.REPLIED, "is said to be indexed"),
        ("replies-early", Moment.SETTLED, "a run is over"),
        ("records-first", Moment.WRITING, "the collection lacks rows|what was written is begun again"),
        ("forgets-prepared", Moment.PREPARED, "what was prepared is begun again"),
    ],
)
def test_a_daemon_with_a_mistake_in_its_stages_is_caught(mistake, moment, complaint, place, calm, tmp_path, fresh_name):
    with pytest.raises(AssertionError, match=complaint):
        die_and_live(Life(place, tmp_path, fresh_name, mistake), moment, calm)
