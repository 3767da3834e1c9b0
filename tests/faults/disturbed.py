"""A daemon that things are done to while it lives through a story: it must come to hold what one does that is left alone."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.daemon import POLL_S, Daemon
from tests.faults.kept import COLLECTIONS, LIMIT_S, Kept, Recovery, complaint
from tests.faults.story import Change, Story, is_through
from tests.faults.synced import write_notes
from tests.faults.truth import Difference, killed, look, still
from tests.forked import Forks

LOOK_AGAIN_S = 0.3


@dataclass
class Disturbed:
    """The daemon, and how far it is in the story."""

    folder: Path
    story: Story
    forks: Forks | None = None
    """What starts it, if not what starts all."""
    environment: dict[str, str] = field(default_factory=dict)
    """Of the daemon."""
    is_restarted: bool = False
    """Whether it is started again when it ends, as by a service manager, at any time."""
    number: int = 0
    """The last change."""
    limit_s: float = LIMIT_S
    """How long the daemon may take to come to hold what it should."""

    def __post_init__(self) -> None:
        # Ids of chunks say which repository they are of: it has to be the same.
        kept = Kept(self.folder, repositories=self.story.repositories, models=self.story.models, branch=self.branch)
        self.state = kept.state
        self.daemon: Daemon = kept.daemon(**self.environment)
        self.daemon.forks = self.forks or self.daemon.forks
        self.changes: list[Change] = self.story.changes

    @property
    def branch(self) -> str:
        """The branch that only the daemon follows."""
        return self.folder.name

    @property
    def notes(self) -> Path:
        """The folder that the daemon keeps."""
        return self.folder / "notes"

    def start(self) -> "Disturbed":
        """Start the daemon, and wait until it has synced the beginning."""
        self.story.go_on(self.branch, 0)
        write_notes(self.notes, 2, self.story.sections)
        self.daemon.start()
        still(self.daemon, LIMIT_S)
        return self

    @property
    def is_over(self) -> bool:
        """Whether the story has no further change."""
        return self.number == len(self.changes)

    def end(self) -> None:
        """Kill it if it runs."""
        if self.daemon.process is not None:
            killed(self.daemon)

    def go_on(self) -> None:
        """Let the next change happen. The upload is acknowledged when this returns."""
        self.number += 1
        self._change.write(self.notes)
        self.story.go_on(self.branch, self.number)
        self._change.upload(self.daemon)

    def compare(self) -> Recovery:
        """Give the daemon time to come to hold what it should."""
        self.daemon.wait_ready()
        deadline = time.monotonic() + self.limit_s
        while True:
            is_late = time.monotonic() > deadline
            if is_late or self._is_through():
                wrong = self._wrong()
                if is_late or not wrong:
                    return Recovery(wrong, complaint(self.daemon))
                time.sleep(LOOK_AGAIN_S)
            if self.is_restarted:
                restart(self.daemon)
            if self.daemon.process is None or self.daemon.process.poll() is not None:
                return Recovery(self._wrong(), f"it has ended: {self.daemon.log()}")
            time.sleep(POLL_S)

    @property
    def _change(self) -> Change:
        return self.changes[self.number - 1]

    def _is_through(self) -> bool:
        return is_through(self.daemon, self._change, self.story.commits[self.number])

    def _wrong(self) -> Difference:
        wrong, right = Difference(), self.story.held[self.number]
        for name in COLLECTIONS:
            wrong = wrong.plus(look(self.daemon, name, right[name], same_ids=True))
        return wrong


Fault = Callable[[Disturbed, random.Random], int]
"""Does something to the daemon while it works; returns how often that was done. The daemon runs afterwards."""


def restart(daemon: Daemon) -> None:
    """Start a daemon that has ended, as a service manager would."""
    assert daemon.process is not None
    if daemon.process.poll() is not None:
        daemon.start()
