"""The real program keeps what it watches in step, whatever happens to the run that was to bring a change."""

import shutil
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, request, syncd, until
from tests.daemon import Daemon
from tests.git_server import GitServer
from tests.serving import serve


class Replicas(GitServer):
    """A server of two replicas, of which the second has not heard of the last push yet."""

    asks: Callable[[bytes], str | None] = staticmethod(lambda _body: None)
    """What becomes of a request: "stale" (the second replica answers), a status, or None."""

    def fall_behind(self, repository: str) -> None:
        """Let the second replica have what there is now."""
        shutil.rmtree(self.path("stale/stale"), ignore_errors=True)
        shutil.copytree(self.path(repository), self.path("stale/stale"))

    def _backend(self, request: web.Request, body: bytes) -> web.Response:
        fate = self.asks(body) if request.method == "POST" else None
        if fate and fate.isdigit():
            return web.Response(status=int(fate))
        path = request.path
        if fate == "stale":
            path = "/stale/stale.git/" + path.split("/", 3)[3]
        seen = SimpleNamespace(
            path=path, method=request.method, query_string=request.query_string, headers=request.headers
        )
        return super()._backend(seen, body)


@pytest.fixture
def replicas(tmp_path) -> Iterator[Replicas]:
    server = Replicas(tmp_path / "git")
    server.held.set()
    with serve(server.answer) as server.url:
        yield server


def watched(replicas: GitServer, interval_s: float) -> str:
    return f"""
[github]
base_url = "{replicas.url}"
[[sources]]
name = "code"
type = "github"
repository = "owner/code"
collection = "code"
interval_s = {interval_s}
"""


def keys(daemon: Daemon) -> list[str]:
    return [key for (key,) in daemon.rows("SELECT key FROM documents WHERE state = 'indexed' ORDER BY key")]


@pytest.mark.parametrize("trouble", ["stale", "403"])
def test_a_fetch_that_is_refused_once_after_a_push_is_made_again(replicas, minilm_folder, tmp_path, trouble):
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, watched(replicas, 1)))
    first = replicas.create("owner/code", {"a.py": "a = 1\n"})
    daemon.start()
    try:
        daemon.wait_for(first)
        replicas.fall_behind("owner/code")
        refused = []

        def once(body: bytes) -> str | None:
            if b"command=fetch" not in body or refused:
                return None
            refused.append(trouble)
            return trouble

        replicas.asks = once
        replicas.commit("owner/code", {"b.py": "b = 2\n"})
        until(lambda: keys(daemon) == ["a.py", "b.py"])
        assert refused == [trouble]
    finally:
        assert daemon.stop() == 0


def test_a_commit_that_was_asked_for_and_not_read_is_asked_for_again(replicas, minilm_folder, tmp_path):
    """The poll heard of the push from one replica, and the run read the commit before it from the other."""
    first = replicas.create("owner/code", {"a.py": "a = 1\n"})
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, watched(replicas, 5))).start()
    try:
        daemon.wait_for(first)
        replicas.fall_behind("owner/code")
        second = replicas.commit("owner/code", {"b.py": "b = 2\n"})
        told = threading.Event()

        def first_of_the_push_and_then_of_nothing(body: bytes) -> str | None:
            if b"command=ls-refs" not in body or not told.is_set():
                told.set()
                return None
            return "stale"

        runs = len(daemon.rows("SELECT 1 FROM invocations"))
        replicas.asks = first_of_the_push_and_then_of_nothing
        until(lambda: len(daemon.rows("SELECT 1 FROM invocations WHERE state = 'complete'")) > runs)
        assert keys(daemon) == ["a.py"]
        replicas.asks = lambda _body: None
        daemon.wait_for(second)
        assert keys(daemon) == ["a.py", "b.py"]
    finally:
        assert daemon.stop() == 0


def test_a_source_that_cannot_be_watched_any_more_says_so_everywhere_and_recovers(replicas, minilm_folder, tmp_path):
    replicas.create("owner/gone", {"a.py": "a = 1\n"})
    replicas.create("owner/branch", {"a.py": "b = 2\n"})
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n")
    sources = f"""
[github]
base_url = "{replicas.url}"
[[sources]]
name = "gone"
type = "github"
repository = "owner/gone"
collection = "gone"
interval_s = 1
max_lag_s = 2
[[sources]]
name = "branch"
type = "github"
repository = "owner/branch"
branch = "main"
collection = "branch"
interval_s = 1
[[sources]]
name = "folder"
type = "folder"
path = "{folder}"
collection = "folder"
"""
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, sources)).start()
    try:
        until(lambda: len(keys(daemon)) == 3 and daemon.unsettled() == 0)
        until(lambda: request(daemon, "GET", "/health") == {"status": "ok"})
        replicas.path("owner/gone").rename(tmp_path / "away.git")
        replicas.delete_branch("owner/branch", "main")
        folder.rename(tmp_path / "elsewhere")

        def states() -> dict[str, dict]:
            return {source["name"]: source["watch_state"] for source in request(daemon, "GET", "/api/v1/sources")}

        failing = until(lambda: (now := states()) and all(it["state"] == "failing" for it in now.values()) and now)
        assert "does not exist" in failing["gone"]["reason"]
        assert "has no branch 'main'" in failing["branch"]["reason"]
        assert "is it mounted?" in failing["folder"]["reason"]
        assert all(it["failing_since"] and it["next_try_at"] for it in failing.values())
        late = {"status": "ok", "failing_sources": 3, "late_sources": 1}
        until(lambda: request(daemon, "GET", "/health") == late)
        listed = syncd(daemon, "sources", "list").stdout
        assert all(words in listed for words in ("late: ", "failing since ", "is it mounted?"))
        said = syncd(daemon, "status").stdout
        assert "source gone: late: changes have waited" in said
        log = (daemon.folder / "log").read_text()
        for name in failing:
            assert f"source {name}: failing since" in said
            assert any("watch.failing" in line and f"source={name} " in line for line in log.splitlines())
        (tmp_path / "away.git").rename(replicas.path("owner/gone"))
        replicas.commit("owner/branch", {"a.py": "b = 2\n"}, parent=None)
        (tmp_path / "elsewhere").rename(folder)
        until(lambda: all(it["state"] == "watching" for it in states().values()))
        assert request(daemon, "GET", "/health") == {"status": "ok"}
    finally:
        assert daemon.stop() == 0
