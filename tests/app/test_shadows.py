"""The real program: a collection whose source is set to another prompt is built beside itself, through a kill, and given back."""

import re

import chromadb

from tests.app.test_daemon import configuration, request, syncd, until
from tests.daemon import Daemon, held

TEXTS = {
    "lamp.md": "# The lamp of the lighthouse\n\nThe keeper lights the lamp every evening at dusk.\n",
    "fox.md": "# Foxes run at night\n\nThey rest in dens by day.\n",
    "kite.md": "# Kites in the evening wind\n\nA kite flies higher. See [who lights the lamp at dusk](lamp.md).\n",
}
PROMPT = 'task = {task_name = "notes", document_prompt = "passage: "}\n'


def notes(folder, more: str = "") -> str:
    return f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{folder}"\ncollection = "notes"\n{more}'


def states(daemon: Daemon) -> list[str]:
    return [state for (state,) in daemon.rows("SELECT state FROM shadows")]


def prompts(daemon: Daemon) -> dict[str, str | None]:
    rows = daemon.rows("SELECT name, json_extract(embedding, '$.task.document_prompt') FROM collections")
    return {re.sub(r"-[0-9a-f]{8}$", "", name): prompt for name, prompt in rows}


def keys(daemon: Daemon) -> set[str]:
    return {metadata["key"] for _, metadata in held(**daemon.announced()["chroma"], name="notes").rows.values()}


def vectors(daemon: Daemon) -> dict[str, list[float]]:
    return held(**daemon.announced()["chroma"], name="notes").vectors


def test_it_answers_as_before_until_it_is_complete_and_comes_back_in_one_command(minilm_folder, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    daemon = Daemon(tmp_path, configuration(minilm_folder, notes(folder))).start()
    until(lambda: keys(daemon) == set(TEXTS) if daemon.rows("SELECT 1 FROM documents") else False)
    before = vectors(daemon)
    assert daemon.stop() == 0

    daemon.config = configuration(minilm_folder, notes(folder, PROMPT))
    daemon.launch()
    until(lambda: states(daemon) == ["building"])
    daemon.kill()
    (folder / "fox.md").unlink()
    (folder / "owl.md").write_text("# Owls are awake at night\n\nThey sleep by day.\n")
    daemon.start()
    until(lambda: states(daemon) == ["former"] and daemon.unsettled() == 0)
    assert prompts(daemon) == {"notes": "passage: ", "notes.former": None}
    assert keys(daemon) == {"lamp.md", "kite.md", "owl.md"}
    after = vectors(daemon)
    assert all(vector != after[chunk_id] for chunk_id, vector in before.items() if chunk_id in after)

    collection = chromadb.HttpClient(**daemon.announced()["chroma"]).get_collection("notes")
    (best, *_), *_ = collection.query(query_texts=["who lights the lamp?"], n_results=2)["metadatas"]
    assert best["key"] == "lamp.md"
    assert [it["collection_name"] for it in request(daemon, "GET", "/api/v1/status")["collections"]] == ["notes"]
    shown = syncd(daemon, "shadow", "notes").stdout
    assert "notes can go back to what it was until" in shown
    assert "questions made of the collection: before → after" in shown
    assert re.search(r"hybrid +[01]\.\d{3} → [01]\.\d{3}", shown), shown

    back = syncd(daemon, "rollback", "notes")
    assert back.returncode == 0, back.stderr
    until(lambda: keys(daemon) == {"lamp.md", "kite.md", "owl.md"} and daemon.unsettled() == 0)
    assert prompts(daemon) == {"notes": None, "notes.former": "passage: "}
    now = vectors(daemon)
    assert all(now[chunk_id] == vector for chunk_id, vector in before.items() if chunk_id in now)
    place = {"database_name": "default_database", "collection_name": "notes"}
    (best, *_) = request(daemon, "POST", "/api/v1/search", {**place, "query": "the lamp", "mode": "dense"})["hits"]
    assert best["metadata"]["key"] == "lamp.md"
    verified = request(daemon, "POST", "/api/v1/verify", place)
    assert (verified["missing"], verified["different"], verified["extra"]) == (0, 0, 0)
    assert daemon.stop() == 0
