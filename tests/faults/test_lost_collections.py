"""Chroma is away, refuses, or somebody takes rows out of it: it is said, words answer meanwhile, and the collection comes back by itself."""

import json
import urllib.request

import pytest

from tests.chroma.failing_proxy import FailingProxy, once
from tests.daemon import Held
from tests.faults.synced import Synced, write_note, write_notes

FILES, SECTIONS = 6, 4


@pytest.fixture(scope="module")
def proxy(chroma_server):
    with FailingProxy(chroma_server).running() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    return write_notes(tmp_path_factory.mktemp("folders") / "notes", FILES, SECTIONS)


@pytest.fixture(scope="module")
def name(notes):
    return f"lost-{abs(hash(str(notes)))}"


@pytest.fixture(scope="module")
def synced(proxy, notes, name, tmp_path_factory):
    chroma = f'mode = "server"\nhost = "{proxy.host}"\nport = {proxy.port}'
    synced = Synced.start(tmp_path_factory.mktemp("daemon"), {name: notes}, chroma)
    yield synced
    assert synced.daemon.stop() == 0


@pytest.fixture(autouse=True)
def passing(proxy):
    yield
    proxy.fails, proxy.message = lambda *_: None, "not now"


def chroma(server, method: str, path: str, body: object = None):
    url = (
        f"http://{server.host}:{server.port}/api/v2/tenants/default_tenant/databases/default_database/collections{path}"
    )
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as answer:
        return json.load(answer)


def test_while_chroma_is_away_words_answer_and_the_rest_is_503(synced, proxy, name):
    proxy.fails = lambda *_: 503
    synced.daemon.wait_until(lambda: "not now" in synced.health())
    assert "not now" in synced.status()["chroma"]["away"]
    for status, answer in (synced.search(name, "kites", "dense"), synced.verify(name)):
        assert (status, answer["error"], bool(answer["retry_after"])) == (503, "unavailable", True)
    status, answer = synced.search(name, "kites over hill 7")
    assert (status, bool(answer["hits"])) == (200, True)
    assert "by words alone" in answer["notices"][0]
    # The same while a server that is not ours has lost its database: it says so and waits for somebody to mend it.
    proxy.message = "error returned from database: (code: 11) database disk image is malformed"
    synced.daemon.wait_until(lambda: "own database is damaged" in synced.health())
    assert "replace it by a backup" in synced.status()["chroma"]["away"]
    assert synced.search(name, "kites over hill 7")[0] == 200
    proxy.fails = lambda *_: None
    synced.wait_whole()


def test_a_collection_that_is_emptied_or_deleted_comes_back_without_any_change_or_embedding(
    synced, proxy, chroma_server, name
):
    embedded = synced.vectors()
    ident = chroma(chroma_server, "GET", f"/{name}")["id"]
    chroma(chroma_server, "POST", f"/{ident}/delete", {"ids": sorted(synced.right[name].rows)})
    synced.daemon.wait_until(lambda: len(synced.held(name).rows) == len(synced.right[name].rows))
    synced.wait_whole()
    # While it cannot be made again it is missing: words answer, health says so.
    proxy.fails = lambda method, path, _body: 503 if method == "POST" and path.endswith("/collections") else None
    chroma(chroma_server, "DELETE", f"/{name}")
    synced.daemon.wait_until(lambda: "being filled" in synced.health() or "not now" in synced.health())
    status, answer = synced.search(name, "kites", "dense")
    assert (status, bool(answer["retry_after"])) == (503, True)
    status, answer = synced.search(name, "kites")
    assert (status, bool(answer["hits"]), bool(answer["notices"])) == (200, True, True)
    proxy.fails = lambda *_: None
    synced.daemon.wait_until(lambda: synced.health() == "")
    synced.wait_whole()
    assert synced.vectors() == embedded


def test_a_search_that_finds_the_collection_missing_has_it_filled(synced, chroma_server, name):
    chroma(chroma_server, "DELETE", f"/{name}")
    assert synced.search(name, "kites", "dense")[0] in (200, 503)
    synced.daemon.wait_until(lambda: synced.search(name, "kites", "dense")[0] == 200)
    synced.wait_whole()


def test_a_rebuild_cut_off_between_delete_and_creation_goes_on_by_itself(synced, proxy, name):
    proxy.fails = once(lambda method, path, _body: 503 if method == "POST" and path.endswith("/collections") else None)
    assert synced.rebuild(name)[0] == 200
    assert proxy.failed
    synced.wait_whole()


def is_about(found: Held, word: str, rows: int) -> bool:
    return len(found.rows) == rows and all(word in document for document, _ in found.rows.values())


def test_while_everything_is_refused_nothing_is_withdrawn_and_old_chunks_stay(synced, proxy, notes, name):
    before = synced.held(name).rows.keys()
    proxy.fails = lambda *_: 400
    for number in range(FILES):
        write_note(notes, number, SECTIONS, "balloons")
    synced.daemon.wait_until(lambda: "refuse" in synced.health())
    proxy.fails = lambda method, path, _body: 400 if method == "POST" and not path.endswith("/get") else None
    synced.daemon.wait_until(lambda: "refuse" in synced.health())
    assert before <= synced.held(name).rows.keys()
    proxy.fails = lambda *_: None
    synced.daemon.wait_until(lambda: synced.health() == "")
    synced.settle()
    synced.daemon.wait_until(lambda: is_about(synced.held(name), "balloons", len(before)))
    synced.settle()
    assert synced.daemon.rows("SELECT DISTINCT state FROM documents") == [("indexed",)]
    assert len(synced.held(name).rows) == len(before)
