"""What a source has indexed is its own as long as it is there, whatever it is called; then it is whoever's comes to the same place."""

import json
import sqlite3
from pathlib import Path

import pytest

from syncd.store.checked_rows import keep_checksums
from tests.app.test_daemon import configuration, request, syncd, until
from tests.daemon import MINILM, Daemon, held


def declared(name: str, folder: Path) -> str:
    return f'[[sources]]\nname = "{name}"\ntype = "folder"\npath = "{folder}"\ncollection = "notes"\n'


@pytest.fixture
def notes(tmp_path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\nIt says number {number}.\n")
    return folder


def ids(daemon: Daemon, collection: str = "notes") -> set[str]:
    chroma = daemon.announced()["chroma"]
    return set(held(chroma["host"], chroma["port"], collection).rows)


def in_step(daemon: Daemon, documents: int) -> bool:
    (found,) = daemon.rows("SELECT count(*) FROM documents WHERE state = 'indexed'")[0]
    runs = daemon.rows("SELECT 1 FROM invocations WHERE state = 'complete'")
    return bool(runs) and found == documents and daemon.unsettled() == 0


def embedded(daemon: Daemon) -> int:
    return daemon.rows("SELECT coalesce(sum(json_extract(counts, '$.chunks_embedded')), 0) FROM invocations")[0][0]


def test_a_source_renamed_in_the_file_keeps_its_documents_and_their_ids(minilm_folder, tmp_path, notes):
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, declared("notes", notes))).start()
    try:
        until(lambda: in_step(daemon, 5))
        before, source = ids(daemon), daemon.rows("SELECT id FROM sources")
        assert daemon.stop() == 0
        daemon.config = configuration(minilm_folder, declared("remarks", notes))
        (notes / "new.md").write_text("# New\n\nA new one.\n")
        daemon.start()
        until(lambda: in_step(daemon, 6))
        assert daemon.rows("SELECT id FROM sources") == source
        assert len(ids(daemon)) == len(before) + 1
        assert ids(daemon) > before
        assert embedded(daemon) == 6
    finally:
        assert daemon.stop() == 0


def test_a_source_that_was_removed_and_declared_again_takes_up_where_it_ended(minilm_folder, tmp_path, notes):
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, declared("notes", notes))).start()
    try:
        until(lambda: in_step(daemon, 5))
        before = ids(daemon)
        assert daemon.stop() == 0
        daemon.config = configuration(minilm_folder)
        daemon.start()
        (left,) = json.loads(syncd(daemon, "verify", "notes", "--json").stdout)["collection"]["orphans"]
        assert (left["name"], left["documents"]) == ("notes", 5)
        told = syncd(daemon, "verify", "notes")
        assert (told.returncode, "5 documents left of source notes, which is gone" in told.stdout) == (1, True)
        assert daemon.stop() == 0
        (notes / "4.md").unlink()
        daemon.config = configuration(minilm_folder, declared("others", notes))
        daemon.start()
        until(lambda: in_step(daemon, 4))
        assert ids(daemon) < before
        assert embedded(daemon) == 5
        assert syncd(daemon, "verify", "notes").returncode == 0
    finally:
        assert daemon.stop() == 0


def added(daemon: Daemon, folder: Path, *more: str) -> str:
    options = ("--watch", "notes", "--model", MINILM, "--json", *more)
    done = syncd(daemon, "sources", "add", "folder", str(folder), *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["source_id"]


def test_what_a_removed_source_left_is_kept_purged_or_handed_over(minilm_folder, tmp_path, notes):
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder)).start()
    try:
        first = added(daemon, notes)
        until(lambda: in_step(daemon, 5))
        assert syncd(daemon, "sources", "remove", first).returncode == 0
        assert added(daemon, notes) == first
        until(lambda: in_step(daemon, 5))
        assert embedded(daemon) == 5
        heir_folder = tmp_path / "heir"
        heir_folder.mkdir()
        (heir_folder / "0.md").write_text("# The heir's own\n")
        heir = added(daemon, heir_folder)
        until(lambda: in_step(daemon, 6))
        handed = syncd(daemon, "sources", "remove", first, "--hand-to", heir)
        assert handed.stdout == f"removed: what it has indexed goes to {heir}\n"
        owners = "SELECT source_id, count(*) FROM documents WHERE state = 'indexed' GROUP BY source_id"
        until(lambda: daemon.rows(owners) == [(heir, 5)] and not daemon.rows("SELECT 1 FROM outbox"))
        chroma = daemon.announced()["chroma"]
        rows = held_with_sources(chroma, "notes")
        assert rows == {heir}
        until(lambda: not daemon.rows("SELECT 1 FROM absent_sources"))
        assert "what it has indexed stays; give --purge" in syncd(daemon, "sources", "remove", heir).stdout
        assert syncd(daemon, "sources", "remove", heir, "--purge").returncode == 0
        until(lambda: not ids(daemon) and not daemon.rows("SELECT 1 FROM absent_sources"))
        assert "no collections yet" in syncd(daemon, "collections").stdout
    finally:
        assert daemon.stop() == 0


def held_with_sources(chroma: dict, name: str) -> set[str]:
    import chromadb

    found = chromadb.HttpClient(host=chroma["host"], port=chroma["port"]).get_collection(name).get()
    return {metadata["source_id"] for metadata in found["metadatas"]}


def test_chunk_ids_of_a_source_that_an_earlier_version_removed_are_free(minilm_folder, tmp_path, notes):
    """Nothing is known of it but its documents: no place, so that its successor comes with another id."""
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, declared("notes", notes))).start()
    try:
        until(lambda: in_step(daemon, 5))
        before = ids(daemon)
        assert daemon.stop() == 0
        daemon.config = configuration(minilm_folder)
        daemon.start()
        assert daemon.stop() == 0
        forget_the_removed(daemon)
        daemon.config = configuration(minilm_folder, declared("notes", notes))
        daemon.start()
        orphans = "SELECT 1 FROM documents WHERE source_id NOT IN (SELECT id FROM sources)"
        until(lambda: in_step(daemon, 5) and not daemon.rows(orphans))
        assert ids(daemon) == before
        assert embedded(daemon) == 5
    finally:
        assert daemon.stop() == 0


def forget_the_removed(daemon: Daemon) -> None:
    with sqlite3.connect(daemon.state / "syncd.sqlite") as connection:
        keep_checksums(connection)
        connection.execute("UPDATE absent_sources SET type = '', settings = '{}'")


def test_a_source_made_through_the_api_is_edited_and_compared_at_once(minilm_folder, tmp_path, notes):
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder)).start()
    try:
        source = added(daemon, notes)
        until(lambda: in_step(daemon, 5))
        edited = syncd(daemon, "sources", "edit", source, '{"exclude_globs": ["3.md"]}')
        assert edited.returncode == 0, edited.stderr
        assert json.loads(edited.stdout)["folder"]["exclude_globs"] == ["3.md"]
        until(lambda: in_step(daemon, 4))
        moved = syncd(daemon, "sources", "edit", source, json.dumps({"path": str(tmp_path)}))
        assert (moved.returncode, "make another source" in moved.stderr) == (1, True)
        wrong = syncd(daemon, "sources", "edit", source, '{"exclude": ["3.md"]}')
        assert "exclude_globs" in wrong.stderr
        assert request(daemon, "GET", f"/api/v1/sources/{source}")["folder"]["exclude_globs"] == ["3.md"]
    finally:
        assert daemon.stop() == 0


def test_sources_whose_rows_are_damaged_are_written_again_or_held_and_lose_nothing(minilm_folder, tmp_path, notes):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.md").write_text("# Other\n\nIt says something else.\n")
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, declared("notes", notes))).start()
    try:
        source = added(daemon, other)
        until(lambda: in_step(daemon, 6))
        before = ids(daemon)
        assert daemon.stop() == 0
        with sqlite3.connect(daemon.state / "syncd.sqlite") as connection:
            # As if bits had flipped, of which there are too many to set right.
            connection.execute(
                "UPDATE sources SET type = 'fylder', settings = replace(settings, 'notes', 'mopes'), name = iif(name IS NULL, NULL, 'nodes')"
            )
        daemon.start()
        until(lambda: request(daemon, "GET", "/health") == {"status": "ok", "damaged_sources": 1})
        until(lambda: daemon.unsettled() == 0)
        (problem,) = request(daemon, "GET", "/api/v1/status")["source_problems"]
        assert problem["source_id"] == source
        assert "syncd sources remove --purge" in problem["problem"]
        for command in ("status", "doctor"):
            assert "its row in the state database is damaged" in syncd(daemon, command).stdout
        assert ids(daemon) == before
        (notes / "new.md").write_text("# New\n\nA new one.\n")
        until(lambda: in_step(daemon, 7))
        assert embedded(daemon) == 7
        assert syncd(daemon, "sources", "remove", source, "--purge").returncode == 0
        again = added(daemon, other)
        until(lambda: daemon.rows(f"SELECT 1 FROM documents WHERE source_id = '{again}'") and in_step(daemon, 7))
        assert embedded(daemon) == 7
        assert request(daemon, "GET", "/health") == {"status": "ok"}
    finally:
        assert daemon.stop() == 0
