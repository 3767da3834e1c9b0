"""The real program to callers without a token: what is here is embedded, nothing is fetched and nothing told."""

import json
import urllib.error
import urllib.request

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import MINILM, Daemon
from tests.serving import serve


def asked(daemon: Daemon, path: str, model: str, **headers: str) -> tuple[int, str]:
    """Ask without a token, in every protocol's words at once; return the status and the answer."""
    body = json.dumps({"model": model, "input": "a lamp", "inputs": "a lamp", "texts": ["a lamp"]}).encode()
    headers = {"content-type": "application/json", "x-chroma-embedding-model": model, **headers}
    try:
        made = urllib.request.Request(daemon.announced()["url"] + path, body, headers, method="POST")
        with urllib.request.urlopen(made, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["message"]


@pytest.fixture
def hub():
    fetched: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        fetched.append(request.path)
        return web.Response(status=404)

    with serve(answer) as url:
        yield url, fetched


def test_nothing_is_fetched_started_or_told_for_callers_without_a_token(hub, minilm_folder, tmp_path):
    url, fetched = hub
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("# Lamp\n\nThe keeper lights the lamp.\n")
    more = f"""
[[models]]
name = "acme/fetched"
url = "{url}/fetched.gguf"
pooling = "mean"
dimensions = 8
max_tokens = 64
[[sources]]
name = "notes"
type = "folder"
path = "{notes}"
collection = "notes"
"""
    daemon = Daemon(tmp_path, configuration(minilm_folder, more)).start()
    try:
        for path in ("/", "/api/embed", "/v1/embeddings", "/embed_sparse"):
            for model in ("acme/fetched", "no/such", "prithivida/Splade_PP_en_v1", "Qwen/Qwen3-Embedding-0.6B"):
                assert asked(daemon, path, model)[0] == 404, (path, model)
        until(lambda: daemon.rows("SELECT 1 FROM documents WHERE state = 'indexed'"))
        assert syncd(daemon, "search", "lamp", "--collection", "notes").returncode == 0
        for path in ("/query", "/api/embed", "/v1/embeddings"):
            assert asked(daemon, f"/embed/default_database/notes{path}", "any")[0] == 200
            (_, unknown) = asked(daemon, f"/embed/default_database/other{path}", "any")
            assert asked(daemon, f"/embed/elsewhere/notes{path}", "any")[1] == unknown.replace(
                "default_database/other", "elsewhere/notes"
            )
            for foreign in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
                assert asked(daemon, f"/embed/default_database/notes{path}", "any", **foreign)[0] == 403
        assert asked(daemon, "/", MINILM)[0] == 200
        assert asked(daemon, "/embed_sparse", "Chroma/BM25")[0] == 200
        assert not fetched
        assert "model.downloading" not in daemon.log()
    finally:
        assert daemon.stop() == 0
