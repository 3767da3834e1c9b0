"""The real program with Qdrant in the place of Chroma."""

import json
import urllib.error
import urllib.request

import chromadb
import pytest
from qdrant_client import QdrantClient

from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import Daemon, held
from tests.qdrant_server import qdrant_running


@pytest.fixture
def server(tmp_path):
    with qdrant_running(tmp_path, api_key="s3cret-key") as server:
        yield server


@pytest.fixture
def daemon(minilm_folder, tmp_path, server):
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(12):
        (notes / f"{number}.md").write_text(f"# Note {number}\n\nThe kite number {number} flies over hill {number}.\n")
    source = f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{notes}"\ncollection = "notes"\n'
    stores = f'[qdrant]\nurl = "{server.url}"\napi_key = "s3cret-key"\ncheck_interval_s = 1\n'
    running = Daemon(tmp_path / "daemon", configuration(minilm_folder, stores + source)).start()
    yield running
    assert running.stop() == 0


def search(daemon: Daemon, mode: str, text: str, *options: str) -> tuple[list[dict], str]:
    """Return the hits, and what else was said."""
    found = syncd(daemon, "search", text, "--collection", "notes", "--mode", mode, "--json", *options)
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()], found.stderr


def get(daemon: Daemon, path: str) -> tuple[int, str]:
    request = urllib.request.Request(daemon.announced()["url"] + path, headers={"x-chroma-token": daemon.token()})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_qdrant_stands_in_for_chroma_from_the_first_sync_to_going_back(daemon, server, tmp_path):
    client = QdrantClient(server.url, headers={"api-key": "s3cret-key"}, check_compatibility=False)

    def rows() -> int:
        names = {one.alias_name for one in client.get_aliases().aliases}
        return client.count("notes").count if "notes" in names else 0

    # Synced, found by meaning under a filter, whole.
    until(lambda: rows() == 12 and daemon.unsettled() == 0)
    assert daemon.announced()["qdrant"]["port"] == server.port
    assert f"Qdrant at 127.0.0.1:{server.port}: available" in syncd(daemon, "status").stdout
    hits, _ = search(daemon, "dense", "kite over hill 7", "--path", "7.md")
    assert [hit["metadata"]["key"] for hit in hits] == ["7.md"]
    assert "12 chunks" in syncd(daemon, "verify", "notes").stdout
    status, said = get(daemon, "/api/v2/heartbeat")
    assert (status, "writes to Qdrant" in said) == (404, True)

    # Deleted behind its back, it is filled from the store.
    client.delete_collection(next(one.collection_name for one in client.get_aliases().aliases))
    until(lambda: rows() == 12)

    # Away: words answer, the work waits, health says so; then it goes on.
    server.stop()
    until(lambda: "Qdrant" in get(daemon, "/health")[1])
    hits, said = search(daemon, "hybrid", "kite over hill 7")
    assert hits
    assert "by words alone" in said
    (tmp_path / "notes/7.md").write_text("# Note 7\n\nThe balloon drifts.\n")
    (tmp_path / "notes/8.md").unlink()
    server.start()
    until(lambda: rows() == 11 and daemon.unsettled() == 0)
    until(lambda: "balloon" in search(daemon, "dense", "a balloon that drifts")[0][0]["text"])
    assert "s3cret-key" not in (daemon.folder / "log").read_text()

    # Named another store, the daemon fills that from what it has.
    assert daemon.stop() == 0
    before, _, after = daemon.config.partition("[qdrant]")
    daemon.config = before + "[[sources]]" + after.partition("[[sources]]")[2]
    daemon.start()
    chroma = daemon.announced()["chroma"]

    def texts() -> set[str]:
        listed = chromadb.HttpClient(chroma["host"], chroma["port"]).list_collections()
        found = held(chroma["host"], chroma["port"], "notes").rows if listed else {}
        return {document for document, _ in found.values()}

    until(lambda: len(texts()) == 11)
    assert any("balloon" in text for text in texts())
    client.close()
