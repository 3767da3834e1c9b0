"""The real program: its own Chroma, a real repository, an ordinary Chroma client, signals and accidents."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.daemon import MINILM, Daemon
from tests.forked import shared_forks
from tests.git_server import GitServer
from tests.serving import serve

FILES = 300


def configuration(models: Path, more: str = "") -> str:
    return f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
models_dir = "{models}"
{more}
"""


def source(git_server, repository: str, collection: str) -> str:
    return f"""
[github]
base_url = "{git_server.url}"
[[sources]]
name = "code"
type = "github"
repository = "{repository}"
collection = "{collection}"
interval_s = 1
"""


def text_of(number: int) -> str:
    return f'"""Module {number}."""\n\n\ndef function_{number}(value):\n    return value * {number}\n'


@pytest.fixture(scope="module")
def git_server(tmp_path_factory):
    server = GitServer(tmp_path_factory.mktemp("git"))
    server.held.set()
    with serve(server.answer) as server.url:
        yield server


@pytest.fixture(scope="module")
def repository(git_server):
    files = {f"package_{n % 10}/module_{n}.py": text_of(n) for n in range(FILES - 1)}
    files["README.md"] = "# Lighthouse\n\nThe keeper of the lighthouse lights the lamp every evening at dusk.\n"
    return git_server.create("owner/many", files)


@pytest.fixture(scope="module")
def daemon(git_server, repository, minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    running = Daemon(folder, configuration(minilm_folder, source(git_server, "owner/many", "many"))).start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


def request(daemon: Daemon, method: str, path: str, body=None, token=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"x-chroma-token": daemon.token() if token is None else token, "content-type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(daemon.announced()["url"] + path, data, headers, method=method), timeout=60
    ) as response:
        text = response.read()
        return json.loads(text) if text else None


def is_healthy(daemon: Daemon) -> bool:
    try:
        return request(daemon, "GET", "/health")["status"] == "ok"
    except urllib.error.HTTPError:
        return False


def syncd(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess:
    command = [*daemon.program, *arguments, "--config", str(daemon.folder / "syncd.toml")]
    return shared_forks().run(command, {**os.environ, **daemon.environment}, 120)


def until(condition, limit_s: float = 240.0):
    """Poll the outside world, which has no other way to tell."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return value


def client_says(daemon: Daemon, script: str):
    """Run an ordinary Chroma client in a process of its own and return the JSON it prints."""
    chroma = daemon.announced()["chroma"]
    prelude = f"import chromadb, json\nclient = chromadb.HttpClient(host={chroma['host']!r}, port={chroma['port']})\n"
    done = subprocess.run([sys.executable, "-c", prelude + script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_repository_becomes_a_collection_and_a_commit_touches_only_what_it_changed(daemon, git_server, repository):
    daemon.wait_for(repository)
    written, embedded = daemon.rows(
        "SELECT json_extract(counts, '$.chunks_written'), json_extract(counts, '$.chunks_embedded') "
        "FROM invocations ORDER BY seq LIMIT 1"
    )[0]
    assert written == embedded >= FILES
    before = {row[0] for row in daemon.rows("SELECT key FROM documents WHERE state = 'indexed'")}
    assert len(before) == FILES
    head = git_server.commit(
        "owner/many",
        {
            "package_1/module_1.py": text_of(1).replace("value * 1", "value + 1"),
            "package_2/module_2.py": None,
            "package_2/renamed.py": text_of(2),
            "package_3/module_3.py": None,
        },
    )
    daemon.wait_for(head)
    (outcomes, counts) = daemon.rows(
        "SELECT (SELECT json_group_object(key, state) FROM outcomes WHERE invocation_id = i.id), counts "
        "FROM invocations i ORDER BY seq DESC LIMIT 1"
    )[0]
    assert json.loads(outcomes) == {
        "package_1/module_1.py": "indexed",
        "package_2/module_2.py": "deleted",
        "package_2/renamed.py": "indexed",
        "package_3/module_3.py": "deleted",
    }
    counts = json.loads(counts)
    assert (counts["found"], counts["unchanged"]) == (2, 0)
    assert counts["chunks_embedded"] == counts["chunks_written"] == 2
    assert counts["chunks_deleted"] == 2


def test_an_ordinary_client_reads_queries_and_filters_it(daemon, repository, git_server):
    until(lambda: daemon.unsettled() == 0)
    answer = client_says(
        daemon,
        "c = client.get_collection('many')\n"
        "by_text = c.query(query_texts=['Who lights the lamp?'], n_results=1)\n"
        "some = c.get(where={'path': 'README.md'})\n"
        "words = c.get(where_document={'$contains': 'function_17('})\n"
        "print(json.dumps([c.count(), by_text['documents'][0][0], some['metadatas'][0], words['metadatas'][0]['path'],\n"
        "                  c.configuration['hnsw']['space']]))",
    )
    count, nearest, lineage, path, space = answer
    assert count >= FILES - 1
    assert "lighthouse" in nearest
    assert (lineage["repository"], lineage["language"], lineage["start_line"]) == ("owner/many", "markdown", 1)
    assert path == "package_7/module_17.py"
    assert space == "cosine"


def test_search_answers_with_lineage(daemon):
    body = {"query": "the keeper's lamp", "database_name": "default_database", "collection_name": "many", "limit": 1}
    (hit,) = request(daemon, "POST", "/api/v1/search", body)["hits"]
    assert hit["metadata"]["key"] == "README.md"
    assert 0.3 < hit["score"] <= 1
    done = syncd(daemon, "search", "the keeper's lamp", "--collection", "many", "--limit", "1", "--json")
    assert json.loads(done.stdout)["id"] == hit["id"]
    found = syncd(daemon, "search", "function 17", "--collection", "many", "--path", "package_7/", "--group")
    assert "package_7/module_17.py" in found.stdout.splitlines()[0]
    by_words = request(daemon, "POST", "/api/v1/search", {**body, "query": "function_17", "mode": "sparse"})["hits"]
    assert by_words[0]["metadata"]["path"] == "package_7/module_17.py"
    assert by_words[0]["indexed_at"]
    narrow = {"where": {"stage": "code"}, "where_document": {"$contains": "function_17("}, "path": "package_7/"}
    fusion = {"dense_weight": 0.5, "sparse_weight": 2, "k": 5}
    asked = {**body, **narrow, "query": "function_17", "mode": "hybrid", "group_by": "document", "fusion": fusion}
    ours = {"source_ids": [by_words[0]["metadata"]["source_id"]]}
    (only,) = request(daemon, "POST", "/api/v1/search", {**asked, **ours})["hits"]
    assert only["metadata"]["path"] == "package_7/module_17.py"
    assert only["score"] == pytest.approx(0.5 / (5 + only["dense_rank"]) + 2 / (5 + only["sparse_rank"]))
    assert {only["text"][s["start"] : s["end"]] for s in only["highlights"]} == {"function_17", "17"}
    for nothing in ({"source_ids": ["another"]}, {"offset": 1}, {"where": {"stage": "other"}}):
        assert request(daemon, "POST", "/api/v1/search", {**asked, **nothing})["hits"] == []
    weighed = syncd(
        daemon, "search", "function 17", "--collection", "many", "--sparse-weight", "9", "--k", "1", "--json"
    )
    best = json.loads(weighed.stdout.splitlines()[0])
    assert best["score"] == pytest.approx(1 / (1 + best["dense_rank"]) + 9 / (1 + best["sparse_rank"]))


def test_prometheus_scrapes_what_happened(daemon):
    until(lambda: daemon.unsettled() == 0)
    asking = urllib.request.Request(
        daemon.announced()["url"] + "/metrics", headers={"Authorization": f"Bearer {daemon.token()}"}
    )
    with urllib.request.urlopen(asking, timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    found = {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}
    ((indexed, chunks),) = daemon.rows(
        "SELECT count(DISTINCT d.id), count(*) FROM chunks k JOIN documents d ON d.id = k.document_id "
        "JOIN collections c ON c.id = d.collection_id WHERE c.name = 'many'"
    )
    assert found["syncd_documents", "code", "default_database", "indexed", "many"] == indexed
    assert found["syncd_chunks", "default_database", "many"] == chunks
    assert found["syncd_runs_total", "code", "complete", "default_database"] >= 1
    assert found["syncd_run_documents_total", "code", "default_database", "indexed"] >= indexed
    assert found["syncd_embedded_tokens_total",] > chunks
    assert found["syncd_mailbox_served_total", "ingest"] >= indexed
    assert found["syncd_model_available", MINILM] == found["syncd_chroma_available",] == 1
    assert found["syncd_problems",] == found["syncd_actor_restarts_total", "syncer"] == 0
    assert found["syncd_actor_restarts_total", f"embed {MINILM}"] == 0
    assert found["syncd_disk_free_bytes",] > 0


def test_other_protocols_embed_with_the_collections_model(daemon):
    url = daemon.announced()["url"]
    answer = client_says(
        daemon,
        "import httpx\n"
        "body = {'model': 'any', 'input': 'Who lights the lamp?'}\n"
        f"answer = httpx.post('{url}/embed/default_database/many/api/embed', json=body, timeout=60).json()\n"
        "found = client.get_collection('many').query(query_embeddings=answer['embeddings'], n_results=1)\n"
        "print(json.dumps(found['documents'][0][0]))",
    )
    assert "lighthouse" in answer


def upload(daemon, collection, text, filename="walrus.md", **more):
    """Upload a file that by default names nothing but where it goes, and return how watching it ends."""
    boundary, fields = "frontier", {"database_name": "default_database", "collection_name": collection, **more}
    body = "".join(
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    part = f'content-disposition: form-data; name="file"; filename="{filename}"'
    body += f"--{boundary}\r\n{part}\r\n\r\n{text}\r\n--{boundary}--\r\n"
    headers = {
        "x-chroma-token": daemon.token(),
        "x-upload-content-length": str(len(text)),
        "content-type": f"multipart/form-data; boundary={boundary}",
    }
    url = daemon.announced()["url"] + "/api/v1/add-file"
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=60) as response:
        assert response.status == 201
        invocation = json.loads(response.read())["invocation_id"]
    return syncd(daemon, "watch", invocation, "--json").returncode


@pytest.mark.parametrize("collection", ["uploads", "many"])
def test_an_uploaded_file_is_found_in_a_new_collection_and_in_one_that_others_write(daemon, collection):
    assert upload(daemon, collection, "Walruses whistle underwater when they court.\n") == 0
    found = syncd(daemon, "search", "sounds of sea animals", "--collection", collection, "--json")
    assert "whistle" in json.loads(found.stdout.splitlines()[0])["text"]
    until(lambda: list((daemon.state / "uploads").iterdir()) == [])


def test_an_uploaded_file_is_cut_by_its_name_or_type_whatever_its_id(daemon):
    named = {"filename": "lamp.py", "custom_id": "team/42"}
    typed = {"filename": "lamp", "custom_id": "team/43", "content_type": "text/markdown; charset=utf-8"}
    assert upload(daemon, "named", "def light(lamp):\n    return lamp.on\n", **named) == 0
    assert upload(daemon, "named", "# Lamps\n\nThey are lit at dusk.\n", **typed) == 0
    other = {"filename": "lamp.py", "custom_id": "team/44", "content_type": "text/markdown"}
    assert upload(daemon, "named", "# Wicks\n\nThey are cut at dawn.\n", **other) == 0
    found = daemon.rows(
        "SELECT json_extract(c.metadata, '$.stage'), json_extract(c.metadata, '$.symbol') FROM chunks c "
        "JOIN documents d ON d.id = c.document_id WHERE d.key LIKE 'team/%' ORDER BY d.key"
    )
    assert found == [("code", "light"), ("markdown", "Lamps"), ("markdown", "Wicks")]


def test_code_is_cut_at_its_definitions_and_says_what_they_are(daemon):
    until(lambda: daemon.unsettled() == 0)
    statement = (
        "SELECT json_extract(c.metadata, '$.stage'), json_extract(c.metadata, '$.language'), "
        "json_extract(c.metadata, '$.symbol') FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.key = ?"
    )
    assert daemon.rows(statement, "package_7/module_17.py") == [("code", "python", "function_17")]
    assert daemon.rows(statement, "README.md") == [("markdown", "markdown", "Lighthouse")]


def test_a_folder_added_on_the_command_line_is_synced_live(daemon, tmp_path):
    (tmp_path / "note.md").write_text("# Bees\n\nBees dance to tell where flowers are.\n")
    added = syncd(
        daemon, "sources", "add", "folder", str(tmp_path), "--watch", "live-notes", "--model", MINILM, "--json"
    )
    assert added.returncode == 0, added.stderr

    def notes():
        return daemon.rows(
            "SELECT key FROM documents d JOIN collections c ON c.id = d.collection_id WHERE c.name = 'live-notes' ORDER BY 1"
        )

    until(lambda: notes() == [("note.md",)])
    (tmp_path / "second.md").write_text("# Ants\n\nAnts follow scents.\n")
    until(lambda: notes() == [("note.md",), ("second.md",)])
    (tmp_path / "note.md").unlink()
    until(lambda: notes() == [("second.md",)])


@pytest.fixture
def notes(daemon, tmp_path):
    """A folder source that nothing watches: its id and its folder."""
    (tmp_path / "note.md").write_text(f"# Moths\n\nA moth flies by night, {tmp_path.name} says.\n")
    added = syncd(daemon, "sources", "add", "folder", str(tmp_path), "--model", MINILM, "--json")
    assert added.returncode == 0, added.stderr
    return json.loads(added.stdout)["source_id"], tmp_path


def test_a_plan_says_what_a_sync_would_do_and_does_nothing(daemon, notes):
    source_id, folder = notes

    def plan() -> list[str]:
        done = syncd(daemon, "plan", source_id, "--collection", "planned", "--list")
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if " to " in line or line[:1] in "+~-!"]

    first = plan()
    assert first[0].startswith("+ note.md")
    assert first[1] == "1 to add, 0 to change, 0 to delete, 0 unchanged, 0 skipped or failed"
    assert first[2].startswith("1 chunk to write, 0 to delete, 1 to embed: about ")
    assert not daemon.rows("SELECT 1 FROM collections WHERE name = 'planned'")
    assert syncd(daemon, "sync", source_id, "--collection", "planned").returncode == 0
    (folder / "note.md").write_text("# Bees\n\nBees sleep at night.\n")
    (folder / "more.md").write_text("# Ants\n\nAnts follow scents.\n")
    assert [line.split("  ")[0] for line in plan()[:2]] == ["+ more.md", "~ note.md"]
    assert plan()[2] == "1 to add, 1 to change, 0 to delete, 0 unchanged, 0 skipped or failed"


def test_a_collection_is_verified_and_repaired_with_its_source(daemon, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.md").write_text(f"# Number {name}\n\nA text of number {name}.\n")
    added = syncd(daemon, "sources", "add", "folder", str(tmp_path), "--watch", "verified", "--model", MINILM)
    assert added.returncode == 0, added.stderr
    statement = "SELECT 1 FROM documents d JOIN collections c ON c.id = d.collection_id WHERE c.name = 'verified'"
    until(lambda: len(daemon.rows(statement)) == 2 and daemon.unsettled() == 0)
    right = syncd(daemon, "verify", "verified")
    assert right.returncode == 0, right.stdout + right.stderr
    assert right.stdout.splitlines()[0] == "verified: 2 chunks; in Chroma 0 missing, 0 different, 0 extra"
    assert "0 to add, 0 to change, 0 to delete, 2 unchanged, 0 skipped or failed" in right.stdout
    collection = "collection = client.get_collection('verified')\n"
    # A row that is gone would be noticed by the daemon itself; one that says something else is not.
    forge = "ids = collection.get(where={'key': 'one.md'})['ids']\ncollection.update(ids=ids, documents=['forged'])\nprint(1)"
    assert client_says(daemon, collection + forge) == 1
    assert json.loads(syncd(daemon, "verify", "verified", "--json").stdout)["collection"]["different"] == 1
    of_source = syncd(daemon, "verify", "--source", added.stdout.strip())
    assert (of_source.returncode, of_source.stdout.splitlines()[0]) == (
        1,
        "verified: 2 chunks; in Chroma 0 missing, 1 different (1 texts), 0 extra",
    )
    repaired = syncd(daemon, "verify", "verified", "--repair")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert "0 missing, 1 different (1 texts), 0 extra (repaired)" in repaired.stdout
    forged = "print(sum('forged' in text for text in collection.get()['documents']))"
    assert client_says(daemon, collection + forged) == 0
    assert syncd(daemon, "verify", "verified").returncode == 0


def test_failed_documents_are_tried_again_from_the_command_line(daemon, notes):
    source_id, folder = notes
    (folder / "table.csv").write_bytes(b"PK\x03\x04 not really")
    synced = syncd(daemon, "sync", source_id, "--collection", "tried-again", "--json")
    assert synced.returncode == 0, synced.stderr
    assert json.loads(synced.stdout)["counts"]["failed"] == 1
    (folder / "table.csv").write_text("name,legs\nbee,6\nspider,8\n")
    retried = syncd(daemon, "retry", json.loads(synced.stdout)["id"], "--json")
    assert retried.returncode == 0, retried.stderr
    assert json.loads(retried.stdout)["counts"]["indexed"] == 1


def test_held_deletes_are_confirmed_with_the_command_that_is_printed(daemon, notes):
    source_id, folder = notes
    for number in range(25):
        (folder / f"{number}.txt").write_text(f"Note number {number}.\n")
    assert syncd(daemon, "sync", source_id, "--collection", "guarded").returncode == 0
    for number in range(25):
        (folder / f"{number}.txt").unlink()
    held = syncd(daemon, "sync", source_id, "--collection", "guarded")
    hint = held.stdout.partition("confirm with: syncd ")[2].split()
    assert hint[0] == "confirm-deletes"
    confirmed = syncd(daemon, *hint[:2], "--json")
    assert confirmed.returncode == 0, confirmed.stderr
    assert json.loads(confirmed.stdout)["counts"]["deleted"] == 25


def test_the_network_may_not_name_folders(daemon, tmp_path):
    body = {"database_name": "default_database", "folder": {"path": str(tmp_path)}}
    with pytest.raises(urllib.error.HTTPError) as refused:
        request(daemon, "POST", "/api/v1/sources", body)
    assert refused.value.code == 400


def test_a_rebuild_from_the_command_line(daemon):
    until(lambda: daemon.unsettled() == 0)
    done = syncd(daemon, "rebuild", "many", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["chunks"] >= FILES - 1


def test_the_command_line_tells_what_went_wrong_and_how_to_go_on(daemon, tmp_path):
    unknown = syncd(daemon, "search", "x", "--collection", "nothing-here")
    assert unknown.returncode == 1
    assert unknown.stderr.count("\n") == 1
    elsewhere = subprocess.run(
        [sys.executable, "-m", "syncd", "status"],
        capture_output=True,
        text=True,
        env={**os.environ, "SYNCD_STATE_DIR": str(tmp_path)},
    )
    assert elsewhere.returncode == 69
    assert "syncd run" in elsewhere.stderr
    wrong = subprocess.run(
        [sys.executable, "-m", "syncd", "run"],
        capture_output=True,
        text=True,
        env={**os.environ, "SYNCD_API__PRT": "1"},
    )
    assert wrong.returncode == 78
    assert "api.prt" in wrong.stderr


def test_tokens_made_on_the_command_line_are_scoped(daemon):
    token = json.loads(syncd(daemon, "token", "create", "ci", "--database", "other", "--json").stdout)["token"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        request(daemon, "GET", "/api/v1/sources?database_name=default_database", token=token)
    assert refused.value.code == 403
    listed = [json.loads(line) for line in syncd(daemon, "token", "list", "--json").stdout.splitlines()]
    (ident,) = [row["id"] for row in listed if row["name"] == "ci"]
    assert syncd(daemon, "token", "revoke", ident).returncode == 0
    with pytest.raises(urllib.error.HTTPError) as revoked:
        request(daemon, "GET", "/api/v1/sources", token=token)
    assert revoked.value.code == 401


def test_a_second_daemon_on_the_same_state_is_refused(daemon):
    second = subprocess.run(
        [sys.executable, "-m", "syncd", "run", "--config", str(daemon.folder / "syncd.toml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 78
    assert str(daemon.process.pid) in second.stderr


@pytest.mark.parametrize("key", ["SYNCD_CHROMA__PORT", "SYNCD_API__PORT"])
def test_a_port_that_another_program_has_is_a_configuration_error(key, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = subprocess.run(
            [sys.executable, "-m", "syncd", "run"],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                **os.environ,
                "SYNCD_STATE_DIR": str(tmp_path),
                "SYNCD_API__PORT": "0",
                key: str(taken.getsockname()[1]),
            },
        )
    assert refused.returncode == 78, refused.stderr
    assert "choose another" in refused.stderr.splitlines()[-1]


def test_a_reload_takes_new_sources_and_keeps_the_old_configuration_when_the_new_is_wrong(daemon, tmp_path):
    file = daemon.folder / "syncd.toml"
    before = file.read_text()
    (tmp_path / "x.md").write_text("# Reloaded\n")
    file.write_text(
        before + f'\n[[sources]]\nname = "more"\ntype = "folder"\npath = "{tmp_path}"\ncollection = "more-notes"\n'
    )
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.rows("SELECT 1 FROM sources WHERE name = 'more'"))
    file.write_text("broken")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "config.refused" in daemon.log())
    file.write_text(before)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: not daemon.rows("SELECT 1 FROM sources WHERE name = 'more'"))


def test_a_model_nobody_knows_is_refused_before_a_collection_is_made_for_it(daemon, tmp_path):
    file = daemon.folder / "syncd.toml"
    before = file.read_text()
    table = f'name = "typo"\ntype = "folder"\npath = "{tmp_path}"\ncollection = "typo"\nmodel = "no/such"\n'
    file.write_text(f"{before}\n[[sources]]\n{table}")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "model of 'typo': unknown model 'no/such'" in daemon.log())
    assert not daemon.rows("SELECT 1 FROM sources WHERE name = 'typo'")
    refused = syncd(daemon, "config", "check")
    file.write_text(before)
    assert refused.returncode == 78
    assert "model of 'typo': unknown model 'no/such'" in refused.stderr


def test_chroma_dies_and_comes_back_and_nothing_is_lost(daemon, git_server):
    until(lambda: daemon.unsettled() == 0)
    port = daemon.announced()["chroma"]["port"]
    subprocess.run(["pkill", "-TERM", "-f", f"chroma.*--port {port}$"], check=True)
    head = git_server.commit("owner/many", {"after.md": "# After\n\nWritten while Chroma was away.\n"})
    daemon.wait_for(head)
    until(lambda: is_healthy(daemon))
    assert client_says(daemon, "print(len(client.get_collection('many').get(where={'path': 'after.md'})['ids']))") == 1


def test_it_stops_politely_and_goes_on_where_it_was(daemon, git_server):
    until(lambda: daemon.unsettled() == 0)
    assert daemon.stop() == 0
    head = git_server.commit("owner/many", {"later.md": "# Later\n\nCommitted while the daemon was away.\n"})
    daemon.start()
    daemon.wait_for(head)
    statement = (
        "SELECT json_extract(counts, '$.found') FROM invocations WHERE collection = 'many' ORDER BY seq DESC LIMIT 1"
    )
    assert daemon.rows(statement) == [(1,)]
