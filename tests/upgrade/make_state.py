"""Make `state.tar.xz`: a small state folder as the installed syncd writes it, and what belongs to it.

    python -m tests.upgrade.make_state tests/upgrade/state.tar.xz

Run it in a checkout of the version to upgrade from. The archive holds `state` (less the model's file, which is made
again), `notes` (a folder source), `repositories/acme/tools.git` (a GitHub source, at `url.txt`) and `handbook.md` (uploaded).
"""

import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.daemon import MINILM, Daemon
from tests.git_server import GitServer
from tests.serving import serve

NOTES = {
    "tides.md": "# Tides\n\nThe sea rises twice a day.\n\n## Spring tides\n\nSun and moon pull together.\n",
    "ledger.py": "def balance(entries):\n    '''Sum what came in and what went out.'''\n    return sum(entries)\n",
    "prices.csv": "fruit,price\npear,2\nplum,3\n",
}
TOOLS = {
    "README.md": "# Tools\n\nHammers and other things that fall on feet.\n",
    "hammer.py": "class Hammer:\n    def strike(self, nail):\n        return nail.depth + 1\n",
}
HANDBOOK = "# Handbook\n\nWhoever leaves last switches off the light.\n"


def configuration(notes: Path, git_url: str) -> str:
    return f"""
[embedding]
default_model = "{MINILM}"

[api]
port = 0

[github]
base_url = "{git_url}"

[[sources]]
name = "notes"
type = "folder"
path = "{notes}"
collection = "notes"

[[sources]]
name = "tools"
type = "github"
repository = "acme/tools"
collection = "tools"
branch = "main"
interval_s = 1
"""


def upload(daemon: Daemon, path: Path) -> None:
    content = path.read_bytes()
    parts = {"database_name": b"default_database", "collection_name": b"handbook", "embedding": EMBEDDING}
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in parts.items()
    )
    body += (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="handbook.md"\r\n\r\n%s\r\n--x--\r\n' % content
    )
    headers = {
        "x-chroma-token": daemon.token(),
        "x-upload-content-length": str(len(content)),
        "content-type": "multipart/form-data; boundary=x",
    }
    request = urllib.request.Request(f"{daemon.announced()['url']}/api/v1/add-file", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201


EMBEDDING = b'{"dense": {"model": "sentence-transformers/all-MiniLM-L6-v2"}}'


def wait_settled(daemon: Daemon, runs: int) -> None:
    """Wait until `runs` invocations exist and all of them are over."""
    daemon.wait_until(lambda: daemon.rows("SELECT count(*) FROM invocations")[0][0] >= runs and daemon.unsettled() == 0)


def main(target: Path) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in NOTES.items():
            path = folder / "notes" / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        (folder / "handbook.md").write_text(HANDBOOK)
        server = GitServer(folder / "repositories")
        server.held.set()
        with serve(server.answer) as server.url:
            server.create("acme/tools", TOOLS)
            daemon = Daemon(folder, configuration(folder / "notes", server.url)).start()
            upload(daemon, folder / "handbook.md")
            wait_settled(daemon, 3)
            assert daemon.stop() == 0, daemon.log()
        states = daemon.rows("SELECT state FROM invocations")
        assert [state for (state,) in states] == ["complete"] * 3
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        with tarfile.open(target, "w:xz") as archive:
            for part in ("notes", "repositories", "handbook.md", "state"):
                archive.add(folder / part, part, filter=lambda it: None if "/models" in it.name else it)
        print(f"{target}: {target.stat().st_size} bytes, written by {commit}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
