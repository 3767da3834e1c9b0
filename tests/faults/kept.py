"""A daemon that keeps a folder, a repository and uploads in collections, and what these held in the end.

Faults are done to its state folder when it does not run; then a daemon starts on that, and must come to hold the same.
"""

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.daemon import MINILM, Daemon, Held
from tests.faults.synced import write_note, write_notes
from tests.faults.truth import Difference, held_by, look, restarted, still
from tests.forked import shared_forks
from tests.git_server import GitServer

SECTIONS = 40
"""Of each of two files: together more chunks than Chroma keeps out of its index files (`indexed_early.py`)."""
COLLECTIONS = ("notes", "code", "uploads")
UPLOADS = 6
BOUNDARY = "frontier"
LIMIT_S = 120.0
RESERVE_BYTES = 4 << 20
ADVICE = "syncd doctor --recover"


@dataclass(frozen=True)
class Recovery:
    """How a start after a fault went."""

    wrong: Difference
    said: str = ""
    """What the daemon said was wrong when its time was over, or why it did not start; '' if nothing."""
    advises: bool = False
    """Whether it did not start and said what to do."""


@dataclass
class Kept:
    """Everything in one folder."""

    folder: Path
    right: dict[str, Held] = field(default_factory=dict)
    repositories: Path | None = None
    """Where the repository is, if not in the folder."""
    branch: str = "main"
    models: Path | None = None
    """Where the real model is; without, vectors are hashes of texts."""

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "daemon" / "state"

    def daemon(self, program: str = "tests.faults.indexed_early", more: str = "", **environment: str) -> Daemon:
        """Return a daemon on the state folder, which is not running."""
        return Daemon(
            self.folder / "daemon",
            configuration(
                self.folder, self.repositories or self.folder / "repositories", self.branch, self.models, more
            ),
            program=(program,),
            environment=environment,
            forks=None if "LD_PRELOAD" in environment else shared_forks(),
        )

    def live(
        self, daemon: Daemon, rng: random.Random, acknowledged: Callable[[str], None], stopped: Callable[[], None]
    ) -> None:
        """Let a daemon that does not run yet live through everything; it runs at the end.

        `acknowledged` hears of each upload's answer, `stopped` of a polite stop half-way.
        """
        notes, server = write_notes(self.folder / "notes", 2, SECTIONS), GitServer(self.folder / "repositories")
        server.folder.mkdir()
        server.create("owner/code", {f"{n}.py": f"def first_{n}():\n    return {n}\n" for n in range(6)})
        daemon.start()
        still(daemon, LIMIT_S)
        for number in range(UPLOADS):
            acknowledged(uploaded(daemon, number))
            if number % 2:
                write_note(notes, rng.randrange(2, 5), rng.randrange(1, 4), word=(word := f"gulls{number}"))
                changes = {f"{number}.py": f"def later_{number}():\n    return 1\n", "0.py": f"first = {number}\n"}
                daemon.wait_for(server.commit("owner/code", changes))
                daemon.wait_until(
                    lambda word=word: bool(daemon.rows("SELECT 1 FROM chunks WHERE instr(text, ?)", word))
                )
            if number == UPLOADS // 2:
                still(daemon, LIMIT_S)
                assert daemon.stop() == 0
                stopped()
                daemon.start()
        still(daemon, LIMIT_S)
        self.right = {name: held_by(daemon, name) for name in COLLECTIONS}

    def recovered(self, acknowledged: Collection[str] | None = None, more: str = "") -> Recovery:
        """Start a daemon on the state folder, and give it time to hold what it should: of uploads those `acknowledged`, None being all."""
        daemon = self.daemon(more=more)
        with restarted(daemon) as serves:
            if not serves:
                is_advice = daemon.process is not None and daemon.process.returncode == 78 and ADVICE in daemon.log()
                lost = sum(len(held.rows) for held in self.right.values())
                return Recovery(Difference(lost=lost), daemon.log(), is_advice)
            deadline = time.monotonic() + LIMIT_S
            while (wrong := self._wrong(daemon, acknowledged)) and time.monotonic() < deadline:
                if daemon.process is None or daemon.process.poll() is not None:
                    return Recovery(wrong, daemon.log(), daemon.process.returncode == 78 and ADVICE in daemon.log())
                time.sleep(0.2)
            return Recovery(wrong, complaint(daemon))

    def _wrong(self, daemon: Daemon, acknowledged: Collection[str] | None) -> Difference:
        wrong = Difference()
        for name in COLLECTIONS:
            needed = acknowledged if name == "uploads" else None
            wrong = wrong.plus(look(daemon, name, self.right[name], needed))
        return wrong


def complaint(daemon: Daemon) -> str:
    """Return what /health says is wrong, '' if nothing."""
    try:
        with urllib.request.urlopen(daemon.announced()["url"] + "/health", timeout=60):
            return ""
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["message"]


def uploaded(daemon: Daemon, number: int, day: int | None = None) -> str:
    """Upload a small file; return its name when the daemon has acknowledged it."""
    day = number if day is None else day
    name, text = f"letter{number}.md", f"# Letter {number}\n\nThe herons came back on day {day} and stayed.\n"
    parts = [
        (f'name="{key}"', value)
        for key, value in (("database_name", "default_database"), ("collection_name", "uploads"))
    ]
    parts.append((f'name="file"; filename="{name}"', text))
    body = "".join(
        f"--{BOUNDARY}\r\ncontent-disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in parts
    )
    headers = {
        "x-chroma-token": daemon.token(),
        "x-upload-content-length": str(len(text)),
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    url, data = daemon.announced()["url"] + "/api/v1/add-file", f"{body}--{BOUNDARY}--\r\n".encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        assert json.load(answer)["invocation_id"]
    return name


def configuration(folder: Path, repositories: Path, branch: str, models: Path | None, more: str) -> str:
    """Return the daemon's configuration; `more` is added to the section about Chroma."""
    engine = f'models_dir = "{models}"\nthreads = 1' if models else 'runtime = "hash"'
    return f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
{engine}
[documents]
parsers = 1
step_limit_s = 10.0
[sync]
disk_reserve_bytes = {RESERVE_BYTES}
[chroma]
check_interval_s = 0.5
{more}
[[sources]]
name = "notes"
type = "folder"
path = "{folder / "notes"}"
collection = "notes"
watch = true
chunking = {{ target_size_bytes = 64, max_size_bytes = 120 }}
[[sources]]
name = "code"
type = "git"
url = "{repositories / "owner" / "code.git"}"
branch = "{branch}"
collection = "code"
interval_s = 1
"""
