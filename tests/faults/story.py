"""A seeded history of changes, and what a daemon that is left alone holds after each of them: found once, compared with many times."""

import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from chromadb.errors import ChromaError

from tests.daemon import POLL_S, Daemon, Held
from tests.faults.kept import COLLECTIONS, LIMIT_S, UPLOADS, Kept, uploaded
from tests.faults.synced import write_note, write_notes
from tests.faults.truth import held_by, killed, still
from tests.git_server import GitServer

REPOSITORY = "owner/code"


@dataclass(frozen=True)
class Change:
    """What happens to the sources at once: a few notes, or the two large ones from end to end; a commit; an upload."""

    number: int
    notes: Mapping[int, int]
    """How many sections each of these has."""

    @property
    def word(self) -> str:
        """What the notes speak of from now on, and did not before."""
        return f"gulls{self.number}"

    def write(self, folder: Path) -> None:
        """Change the notes in a folder."""
        for note, sections in self.notes.items():
            write_note(folder, note, sections, self.word)

    def commit(self, server: GitServer) -> str:
        """Change the repository; return the commit."""
        few, text = f"{self.number % 20}.py", f"def later_{self.number}():\n    return 1\n"
        return server.commit(REPOSITORY, {few: text, "0.py": f"first = {self.number}\n"})

    def upload(self, daemon: Daemon) -> None:
        """Upload a file."""
        uploaded(daemon, self.number % UPLOADS, self.number)


@dataclass
class Story:
    """The history, and how it goes. `sections`: how many chunks each of two notes has at least; `models` as `Kept` has it."""

    folder: Path
    seed: str
    length: int
    sections: int = 30
    is_whole: bool = False
    """Whether it is the large notes that change, which has Chroma write its index files."""
    models: Path | None = None
    commits: list[str] = field(default_factory=list)
    """At the beginning, and of each change."""
    held: list[Mapping[str, Held]] = field(default_factory=list)
    """What the collections hold at the beginning, and after each change."""

    @property
    def repositories(self) -> Path:
        """Where the repository is, with all its commits."""
        return self.folder / "repositories"

    @property
    def changes(self) -> list[Change]:
        """All changes, in their order."""
        rng, changes = random.Random(self.seed), list[Change]()
        for number in range(1, self.length + 1):
            large = {0: self.sections, 1: self.sections}
            changes.append(Change(number, large if self.is_whole else {rng.randrange(2, 8): rng.randrange(1, 6)}))
        return changes

    def find_out(self) -> "Story":
        """Have a daemon live through it, and note what it holds."""
        server, kept = GitServer(self.repositories), Kept(self.folder, models=self.models)
        server.folder.mkdir(parents=True)
        code = {f"{n}.py": f"def first_{n}():\n    return {n}\n" for n in range(6)}
        self.commits.append(server.create(REPOSITORY, code))
        notes, daemon = write_notes(self.folder / "notes", 2, self.sections), kept.daemon()
        daemon.start()
        try:
            still(daemon, LIMIT_S)
            self._note(daemon)
            for change in self.changes:
                change.write(notes)
                self.commits.append(change.commit(server))
                change.upload(daemon)
                daemon.wait_until(lambda change=change: is_through(daemon, change, self.commits[-1]), LIMIT_S)
                self._note(daemon)
        finally:
            killed(daemon)
        return self

    def _note(self, daemon: Daemon) -> None:
        """Note what it holds, as soon as that is everything: it may be rebuilding a bloated collection."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            # Chroma cannot read a collection of which it is just writing the index files.
            with suppress(ChromaError):
                held = {name: held_by(daemon, name) for name in COLLECTIONS}
                if [(sum(len(each.rows) for each in held.values()),)] == daemon.rows("SELECT count(*) FROM chunks"):
                    self.held.append(held)
                    return
            time.sleep(POLL_S)
        raise TimeoutError(daemon.log())

    def go_on(self, branch: str, number: int) -> None:
        """Let a branch of the repository be as after a change, for a daemon of its own."""
        GitServer(self.repositories).point(REPOSITORY, f"refs/heads/{branch}", self.commits[number])


def is_through(daemon: Daemon, change: Change, commit: str) -> bool:
    """Tell whether a daemon says that it has done all that a change asks for."""
    return (
        daemon.holds(commit)
        and daemon.rows("SELECT count(DISTINCT document_id) FROM chunks WHERE instr(text, ?)", change.word)
        == [(len(change.notes),)]
        and daemon.rows("SELECT count(*) FROM outbox") == [(0,)]
    )
