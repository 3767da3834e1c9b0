"""Two daemons on one history: one is left alone, things are done to the other while it works, and both must come to hold the same."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

from chromadb.errors import ChromaError

from tests.daemon import Daemon, Held
from tests.faults.kept import COLLECTIONS, LIMIT_S, Kept, Recovery, complaint, uploaded
from tests.faults.synced import write_note, write_notes
from tests.faults.truth import Difference, held_by, killed, look, still
from tests.git_server import GitServer

UPLOADS = 12
REPOSITORY = "owner/code"


@dataclass
class Twins:
    """Both daemons. `sections`: how many chunks each of two files has at least; `models` as `Kept` has it."""

    folder: Path
    sections: int = 30
    models: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Of the disturbed daemon."""
    changes: int = 0
    limit_s: float = LIMIT_S
    """How long the disturbed daemon may take."""

    def __post_init__(self) -> None:
        self.server = GitServer(self.folder / "repositories")
        self._calm, self._disturbed = (
            Kept(self.folder / name, repositories=self.server.folder, models=self.models)
            for name in ("calm", "disturbed")
        )
        self.calm = self._calm.daemon()
        self.disturbed = self._disturbed.daemon(**self.environment)

    @property
    def state(self) -> Path:
        """The disturbed daemon's state folder."""
        return self._disturbed.state

    @property
    def notes(self) -> Path:
        """The folder that only the disturbed daemon keeps."""
        return self._disturbed.folder / "notes"

    def start(self) -> None:
        """Start both, and wait until they have synced everything."""
        self.server.folder.mkdir(parents=True)
        self.server.create(REPOSITORY, {f"{n}.py": f"def first_{n}():\n    return {n}\n" for n in range(6)})
        for kept in (self._calm, self._disturbed):
            write_notes(kept.folder / "notes", 2, self.sections)
        for daemon in (self.calm, self.disturbed):
            daemon.start()
            still(daemon, LIMIT_S)

    def end(self) -> None:
        """Kill whatever runs."""
        for daemon in (self.calm, self.disturbed):
            if daemon.process is not None:
                killed(daemon)

    def change(self, rng: random.Random, *, whole: bool) -> None:
        """Change a note, or the two large ones from end to end (`whole`), and the repository, for both."""
        self.changes += 1
        word = f"gulls{self.changes}"
        notes = [(0, self.sections), (1, self.sections)] if whole else [(rng.randrange(2, 8), rng.randrange(1, 6))]
        for kept in (self._calm, self._disturbed):
            for number, sections in notes:
                write_note(kept.folder / "notes", number, sections, word)
        few = f"{self.changes % 20}.py"
        text = f"def later_{self.changes}():\n    return 1\n"
        commit = self.server.commit(REPOSITORY, {few: text, "0.py": f"first = {self.changes}\n"})
        self._is_calm = lambda: (
            self.calm.holds(commit) and bool(self.calm.rows("SELECT 1 FROM chunks WHERE instr(text, ?)", word))
        )

    def compare(self) -> Recovery:
        """Upload something to both, and give the disturbed daemon time to come to hold what the other one does."""
        deadline = time.monotonic() + self.limit_s
        uploaded(self.calm, self.changes % UPLOADS, self.changes)
        self._upload_in_the_end(deadline)
        self.calm.wait_until(self._is_calm, LIMIT_S)
        still(self.calm, LIMIT_S)
        while (wrong := self._wrong(deadline)) and time.monotonic() < deadline:
            if self.disturbed.process is None or self.disturbed.process.poll() is not None:
                return Recovery(wrong, f"it has ended: {self.disturbed.log()}")
            time.sleep(0.1)
        if not wrong:
            still(self.disturbed, LIMIT_S)
        return Recovery(wrong, complaint(self.disturbed))

    def _right(self, name: str, deadline: float) -> Held:
        """Return what the undisturbed daemon's collection holds; Chroma cannot read one of which it is just writing the index files."""
        while True:
            try:
                return held_by(self.calm, name)
            except ChromaError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _upload_in_the_end(self, deadline: float) -> None:
        while True:
            try:
                uploaded(self.disturbed, self.changes % UPLOADS, self.changes)
            except (URLError, ConnectionError, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _wrong(self, deadline: float) -> Difference:
        """Compare with what the undisturbed daemon holds now: it may be rebuilding a bloated collection."""
        wrong = Difference()
        for name in COLLECTIONS:
            wrong = wrong.plus(look(self.disturbed, name, self._right(name, deadline), same_ids=True))
        return wrong


Fault = Callable[[Twins, random.Random], int]
"""Does something to the disturbed daemon while it works; returns how often that was done. The daemon runs afterwards."""


def restart(daemon: Daemon) -> None:
    """Start a daemon that has ended, as a service manager would."""
    assert daemon.process is not None
    if daemon.process.poll() is not None:
        daemon.start()
