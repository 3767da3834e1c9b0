"""The daemon does all its work under the limits of its own systemd unit, as far as a process can put them upon itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.app.test_daemon import configuration, syncd, until
from tests.daemon import Daemon
from tests.git_server import GitServer
from tests.pipeline.parse.documents import encoded, written
from tests.serving import serve
from tests.systemd.as_service import AUDIT_ARCH

pytestmark = pytest.mark.skipif(os.uname().machine not in AUDIT_ARCH, reason="the filters are for x86-64 and ARM64")

ATTEMPTS = """
import ctypes, mmap, os, socket
def attempt(name, call):
    try:
        call()
        print(name, "works")
    except OSError as error:
        print(name, os.strerror(error.errno))
def unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")
attempt("step back", lambda: os.nice(1))
attempt("writable code", lambda: mmap.mmap(-1, 4096, prot=7))
attempt("data", lambda: mmap.mmap(-1, 4096, prot=3))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("internet", lambda: socket.socket(socket.AF_INET))
attempt("another processor", lambda: os.sched_setaffinity(0, {0}))
attempt("another root", lambda: os.chroot("/"))
attempt("mounts of its own", lambda: unshare(0x00020000))
attempt("a network of its own", lambda: unshare(0x50000000))
attempt("set-user-id", lambda: os.chmod(os.environ["HOME"], 0o4700))
"""


@pytest.fixture
def repositories(tmp_path_factory):
    server = GitServer(tmp_path_factory.mktemp("git"))
    server.held.set()
    with serve(server.answer) as server.url:
        server.create("owner/kites", {"kite.md": "# Kites\n\nA kite flies higher in the evening.\n"})
        yield server


@pytest.fixture
def site():
    async def answer(request: web.Request) -> web.Response:
        text = "<html><head><title>Pears</title></head><body><main><h1>Pears</h1><p>Pears ripen in the dark.</p></main></body></html>"
        return web.Response(text=text, content_type="text/html", status=200 if request.path == "/" else 404)

    with serve(answer) as url:
        yield url


def sources(repositories: GitServer, site: str, folder: Path) -> str:
    return f"""
[github]
base_url = "{repositories.url}"
[web]
allow_private_addresses = ["{site.removeprefix("http://")}"]
[[sources]]
name = "code"
type = "github"
repository = "owner/kites"
collection = "code"
[[sources]]
name = "scans"
type = "folder"
path = "{folder}"
collection = "scans"
[[sources]]
name = "site"
type = "web_scrape"
starting_url = "{site}/"
collection = "site"
"""


def test_the_filters_are_those_of_the_unit(tmp_path):
    (tmp_path / "attempts.py").write_text(ATTEMPTS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))}
    environment["HOME"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.systemd.as_service", "attempts"], capture_output=True, text=True, env=environment
    )
    refused = "Operation not permitted"
    assert done.stdout.splitlines() == [
        "step back works",
        f"writable code {refused}",
        "data works",
        "netlink Address family not supported by protocol",
        "internet works",
        f"another processor {refused}",
        f"another root {refused}",
        f"mounts of its own {refused}",
        "a network of its own works",
        f"set-user-id {refused}",
    ], done.stderr


def test_git_folders_scans_and_sites_are_synced_and_searched_under_the_units_limits(
    repositories, site, minilm_folder, tmp_path
):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "scan.png").write_bytes(encoded(written(["The invoice is due", "on Thursday"])))
    config = configuration(minilm_folder, sources(repositories, site, folder))
    daemon = Daemon(tmp_path / "daemon", config, program=("tests.systemd.as_service", "syncd")).start()
    try:
        assert syncd(daemon, "sync", "site").returncode == 0
        indexed = "SELECT key FROM documents WHERE state = 'indexed'"
        until(lambda: len(daemon.rows(indexed)) == 3 and daemon.unsettled() == 0)
        for collection, query, said in (
            ("code", "when does a kite fly high?", "in the evening"),
            ("scans", "when must the invoice be paid?", "Thursday"),
            ("site", "where do pears ripen?", "in the dark"),
        ):
            found = syncd(daemon, "search", query, "--collection", collection, "--json")
            assert found.returncode == 0, found.stderr
            assert said in found.stdout
    finally:
        assert daemon.stop() == 0
