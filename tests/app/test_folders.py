"""Folders as sources of the real program, and what a stranger or a careless owner may point them at."""

import json
import urllib.request

import pytest

from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import MINILM, Daemon


@pytest.fixture
def daemon(minilm_folder, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    running = Daemon(
        tmp_path / "daemon", configuration(minilm_folder, f'[folder]\nallowed_roots = ["{allowed}"]')
    ).start()
    yield running
    assert running.stop() == 0


def made_by_network(daemon: Daemon, path) -> str:
    body = {"database_name": "default_database", "folder": {"path": str(path)}}
    body["embedding"] = {"dense": {"model": MINILM}}
    headers = {"x-chroma-token": daemon.token(), "content-type": "application/json"}
    request = urllib.request.Request(
        daemon.announced()["url"] + "/api/v1/sources", json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["source_id"]


def indexed(daemon: Daemon) -> str:
    return "".join(text for (text,) in daemon.rows("SELECT text FROM chunks"))


def test_a_root_swapped_for_a_link_to_the_state_yields_no_token(daemon, tmp_path):
    root = tmp_path / "allowed/root"
    root.mkdir()
    (root / "note.md").write_text("# Kites\n")
    ident = made_by_network(daemon, root)
    root.rename(root.with_name("away"))
    root.symlink_to(daemon.state)
    refused = syncd(daemon, "sync", ident, "--collection", "swapped")
    assert refused.returncode == 1
    assert "was replaced by a symbolic link" in refused.stderr + refused.stdout
    assert daemon.token() not in indexed(daemon)


def test_a_source_made_over_the_network_ends_with_its_allowed_root(daemon, tmp_path):
    root = tmp_path / "allowed/root"
    root.mkdir()
    ident = made_by_network(daemon, root)
    assert daemon.stop() == 0
    daemon.config = daemon.config.replace(str(tmp_path / "allowed"), str(tmp_path / "other"))
    daemon.start()
    refused = syncd(daemon, "sync", ident, "--collection", "disallowed")
    assert "is not below a folder that the configuration allows any more" in refused.stderr + refused.stdout


def test_a_folder_above_the_state_is_synced_without_it_and_one_in_it_is_refused(daemon, tmp_path):
    (daemon.folder / "note.md").write_text("# Kites\n")
    options = ("--watch", "home", "--exclude", "/log", "--model", MINILM)
    added = syncd(daemon, "sources", "add", "folder", str(daemon.folder), *options)
    assert added.returncode == 0, added.stderr
    until(lambda: daemon.rows("SELECT 1 FROM documents WHERE key = 'note.md' AND state = 'indexed'"))
    until(lambda: daemon.unsettled() == 0)
    assert daemon.rows("SELECT key, state, reason FROM documents WHERE key LIKE 'state/%'") == [
        ("state/", "skipped", "the daemon's own state, with its tokens and keys, is never read")
    ]
    assert daemon.token() not in indexed(daemon)
    for path in (daemon.state, daemon.state / "uploads"):
        refused = syncd(daemon, "sources", "add", "folder", str(path))
        assert (refused.returncode, "is never read; name a folder outside" in refused.stderr) == (1, True)
