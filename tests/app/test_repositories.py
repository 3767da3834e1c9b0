"""The real program and repositories as they are in the world: old, odd and made by strangers."""

import urllib.error

import pytest

from tests.app.test_daemon import configuration, request, syncd, until
from tests.app.test_watches import watched
from tests.daemon import Daemon
from tests.git_server import REGULAR, GitServer, SlowServer
from tests.serving import serve

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 123456789\n" % (b"1f" * 32)
IMPATIENT = """
[git]
stall_timeout_s = 2
"""


@pytest.fixture
def slow_server(tmp_path):
    """A server that takes longer before every pack than the daemon waits in silence."""
    server = SlowServer(tmp_path / "git")
    server.keepalives = 15
    server.held.set()
    with serve(server.answer) as server.url:
        yield server


def states(daemon: Daemon) -> dict[str, str]:
    """Return what became of each document: indexed, or the beginning of the reason why not."""
    rows = daemon.rows("SELECT key, state, reason FROM documents")
    return {key: state if state == "indexed" else reason.partition(":")[0] for key, state, reason in rows}


def reason_of_the_watch(daemon: Daemon) -> str:
    (source,) = request(daemon, "GET", "/api/v1/sources")
    return source["watch_state"].get("reason") or ""


def old_and_odd_commit(git_server: GitServer) -> str:
    """Let the branch be at a commit that Git's own checks reject for its header, its message and its trees; return its id."""
    contents = (b"a = 1\n", b"b = 2\n", b"*.x " + b"y" * 3000, POINTER)
    text, more, attributes, pointer = (git_server.write("owner/code", "blob", data) for data in contents)
    entries = [(REGULAR, name, text) for name in (b"z.py", b"a.py", b"..", b".git", b"up/down.py")]
    entries += [(REGULAR, b"a.py", more), (REGULAR, b".gitattributes", attributes), (REGULAR, b"large.py", pointer)]
    tree = git_server.write_tree("owner/code", entries)
    header = "author  <> 0017 +0000\ncommitter A <a@example.org> <a@example.org> 1700000000 +51800\nnote a\0b"
    commit = git_server.write("owner/code", "commit", f"tree {tree}\n{header}\n\nx\0y".encode())
    git_server.point("owner/code", "refs/heads/main", commit)
    return commit


def test_an_old_and_odd_repository_on_a_slow_server_is_indexed_but_for_the_names_that_no_checkout_takes(
    slow_server, minilm_folder, tmp_path
):
    slow_server.create("owner/code", {"a.py": "x = 0\n"})
    commit = old_and_odd_commit(slow_server)
    declared = IMPATIENT + watched(slow_server, 1)
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, declared)).start()
    try:
        daemon.wait_for(commit)
        read = dict.fromkeys(("z.py", "a.py", ".gitattributes"), "indexed")
        assert states(daemon) == {
            **read,
            "large.py": "Git LFS",
            **dict.fromkeys(("..", ".git", "up//down.py", "a.py//2"), "refused"),
        }
        mended = slow_server.commit("owner/code", {"a.py": "b = 2\n", "b.py": "c = 3\n"}, parent=None)
        daemon.wait_for(mended)
        assert states(daemon) == dict.fromkeys(("a.py", "b.py"), "indexed")
        slow_server.point("owner/code", "refs/tags/v1", mended)
        slow_server.point("owner/code", "HEAD", "ref: refs/heads/gone")
        for number, ref in enumerate((("--branch", "v1"), ("--sha", mended[:10]))):
            assert syncd(daemon, "sync", "code", *ref, "--collection", f"other-{number}").returncode == 0
        until(lambda: reason_of_the_watch(daemon).startswith("the default branch of owner/code does not exist: name a"))
        assert "(main)" in reason_of_the_watch(daemon)
    finally:
        assert daemon.stop() == 0


def test_repositories_of_any_host_are_indexed_as_the_configuration_and_the_api_may_name_them(
    lfs_server, minilm_folder, tmp_path
):
    declared = f"""
[git]
allow_private_addresses = ["{lfs_server.url.removeprefix("http://")}"]
[[sources]]
name = "local"
type = "git"
url = "{lfs_server.path("owner/local")}"
collection = "local"
branch = "v1"
interval_s = 1
"""
    first = lfs_server.create("owner/local", {"a.py": "a = 1\n"})
    lfs_server.point("owner/local", "refs/tags/v1", first)
    lfs_server.create("owner/private", {"b.py": "b = 1\n", "large.py": lfs_server.keep(b"c = 1\n")})
    lfs_server.require_token("owner/private", "s3cret-token")
    daemon = Daemon(tmp_path / "daemon", configuration(minilm_folder, declared)).start()

    def create(**given: object) -> None:
        watch = {"target_collection_name": "private", "interval_s": 10}
        request(
            daemon, "POST", "/api/v1/sources", {"database_name": "default_database", "git": {**given, "watch": watch}}
        )

    try:
        for url in (f"file://{lfs_server.path('owner/local')}", "git@127.0.0.1:owner/local", "ext::sh -c true"):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                create(url=url)
        create(url=f"{lfs_server.url}/owner/private.git", username="x-access-token", token="s3cret-token", lfs=True)
        create(url="http://127.0.0.1:9/owner/private.git")
        until(lambda: states(daemon) == dict.fromkeys(("a.py", "b.py", "large.py"), "indexed"))
        sources = request(daemon, "GET", "/api/v1/sources")
        assert "s3cret-token" not in str(sources)
        until(lambda: "127.0.0.1 is not a public address" in str(request(daemon, "GET", "/api/v1/sources")))
        second = lfs_server.commit("owner/local", {"a.py": "a = 2\n", "c.py": "c = 1\n"})
        lfs_server.point("owner/local", "refs/tags/v1", second)
        daemon.wait_for(second)
    finally:
        assert daemon.stop() == 0
    assert b"s3cret-token" not in b"".join(file.read_bytes() for file in daemon.state.rglob("*") if file.is_file())
