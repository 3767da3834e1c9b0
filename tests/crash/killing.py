"""Two daemons on one history: one is left alone, the other is killed again and again; both must end in the same collection.

Half of the kills come at a random time, the others at a random moment of a stage. A stage may do again what it had in hand.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.crash import history
from tests.crash.journal import Journal, Moment, journalled
from tests.daemon import MINILM, Daemon, Held, held
from tests.git_server import GitServer

REPOSITORY = "owner/code"
WINDOW_S = 1.2
"""A run takes about a second from the moment the daemon serves; the moment of death is spread over it and a little beyond."""

MOMENT_LIMIT_S = 8.0
"""A run that hangs is killed as any other."""


@dataclass
class Killing:
    """The two daemons; `kills` so far, and how many of them came while a run was under way."""

    calm: Daemon
    killed: Daemon
    names: tuple[str, str]
    """The collection of each."""
    server: GitServer
    kills_per_commit: int
    kills: int = 0
    kills_within_runs: int = 0
    kills_at_moments: int = 0

    def live(self, rng: random.Random, files: int, commits: int) -> Iterator[None]:
        """Sync the first commit and `commits` further ones with both; compare, then yield, after each."""
        first = history.first(rng, files)
        head = self.server.create(REPOSITORY, first)
        self.calm.start()
        for changes in [None, *history.commits(rng, first, commits)]:
            if changes is not None:
                head = self.server.commit(REPOSITORY, changes)
            self.calm.wait_for(head)
            for _ in range(self.kills_per_commit):
                self._start_and_kill(rng)
            self.killed.program = journalled(self.journal)
            self.killed.start()
            self.killed.wait_for(head)
            self._compare(at_least=files // 2)
            self.killed.kill()
            yield
        assert self.calm.stop() == 0

    @property
    def journal(self) -> Journal:
        """What the killed daemon has begun and has durable."""
        return Journal(self.killed.folder / "journal")

    def _start_and_kill(self, rng: random.Random) -> None:
        """Let it die at a moment, if it comes to that in time, or else of a kill from outside."""
        moment = f"{rng.choice(list(Moment))}:{rng.randrange(1, 4)}" if rng.random() < 0.5 else "-"
        self.killed.program = journalled(self.journal, moment)
        self.killed.launch()
        if self.killed.is_ready_or_dead():
            self._wait(rng.random() * WINDOW_S, has_moment=moment != "-")
        self.kills_within_runs += self.killed.unsettled() > 0
        self.kills_at_moments += self.killed.process.poll() is not None
        self.killed.kill()
        self.journal.died(self.killed)
        self.kills += 1

    def _wait(self, least_s: float, *, has_moment: bool) -> None:
        """Wait so long, and where death has its own moment, until that has come or a run has ended without."""
        began = time.monotonic()
        while self.killed.process.poll() is None and (waited_s := time.monotonic() - began) < MOMENT_LIMIT_S:
            if waited_s > least_s and not (has_moment and (waited_s < WINDOW_S or self.killed.unsettled())):
                return
            time.sleep(0.02)

    def _compare(self, at_least: int) -> None:
        undisturbed, disturbed = map(collection_of, (self.calm, self.killed), self.names)
        assert len(undisturbed.rows) >= at_least
        disturbed.assert_equals(undisturbed)
        self.journal.assert_nothing_twice()


def daemons(
    folder: Path, names: tuple[str, str], server: GitServer, models: Path, chroma: str = ""
) -> tuple[Daemon, Daemon]:
    """Return two daemons that are not running; `chroma` is that section of their configuration, '' for a server each."""
    calm, killed = (Daemon(folder / name, configuration(server.url, models, name, chroma)) for name in names)
    return calm, killed


def collection_of(daemon: Daemon, name: str) -> Held:
    """Read a collection from whatever Chroma the daemon uses."""
    chroma = daemon.announced()["chroma"]
    return held(chroma["host"], chroma["port"], name)


def configuration(url: str, models: Path, collection: str, chroma: str) -> str:
    """Return a configuration that watches the repository closely."""
    return f"""
[api]
port = 0
[chroma]
{chroma}
[embedding]
default_model = "{MINILM}"
models_dir = "{models}"
threads = 1
[github]
base_url = "{url}"
[[sources]]
name = "code"
type = "github"
repository = "{REPOSITORY}"
collection = "{collection}"
interval_s = 1
chunking = {{ target_size_bytes = 200 }}
"""
