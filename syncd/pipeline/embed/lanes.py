"""With how many processes of how many threads a model is fastest on this machine's cores: its lanes.

The threads of one process wait for the slowest of them at every step, and all of them for the daemon between two batches;
processes of one thread each wait for nobody, and map the same weights. With small models that is a third more on two cores,
with large ones little or less, and each process has memory of its own. So it is measured: during the first backfill, between two
batches, on known texts, in turns. Until then, and where nothing gains for certain, a model has one process with all threads.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from syncd.pipeline.embed.files import read_cached_json, update_cached_json
from syncd.pipeline.embed.variant import RunSettings

AFTER_S = 15.0
"""So long a model must have computed documents before its lanes are measured: a handful of them is through by then, and of most
sources all are prepared, which takes cores too.
"""
AGAIN_S = 300.0
"""So much longer it computes first, if the cores are busy with something else."""
_CALM = 2.5
"""The most processes for each thread that want a core, the model's and those that prepare documents for it included."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """`count` processes share the cores that one would use; `pinned`: each has its own."""

    count: int = 1
    pinned: bool = False

    def settings(self, usual: RunSettings) -> list[RunSettings]:
        """Return how each lane runs, `usual` being how one process does."""
        if not self.pinned:
            return [replace(usual, lanes=self.count)] * self.count
        each = max(1, usual.all_threads() // self.count)
        cores = sorted(os.sched_getaffinity(0))
        return [
            replace(usual, lanes=self.count, cores=tuple(cores[lane * each : (lane + 1) * each]))
            for lane in range(self.count)
        ]


@dataclass(frozen=True, slots=True)
class LaneRecord:
    """What was measured once, in the JSON object of `path`. `key` holds all that the outcome depends on."""

    path: Path
    key: str

    def find(self) -> Lanes | None:
        """Return the lanes, None where they have not been measured."""
        known = read_cached_json(self.path).get(self.key)
        return Lanes(**known) if known else None

    def keep(self, lanes: Lanes) -> None:
        """Keep them for the next start."""
        update_cached_json(self.path, lambda values: {**values, self.key: asdict(lanes)})


def counts(threads: int, memory_bytes: int, each_bytes: int) -> list[int]:
    """Return the numbers of lanes to try: twice as many each time, up to one a thread and as many as there is memory for."""
    most = min(threads, max(1, memory_bytes // max(each_bytes, 1)))
    return sorted({1 << power for power in range(1, most.bit_length())} | {most} - {1})


def is_calm(threads: int) -> bool:
    """Return whether the cores are this daemon's, more or less. On cores that others kept busy one process was two or three times as
    fast as lanes (tests/benchmarks/README.md), presumably because threads that wait for each other are served before those that
    never wait: that says nothing about the machine.
    """
    return os.getloadavg()[0] <= _CALM * threads


def own_bytes(pid: int | None) -> int:
    """Return the memory that a process shares with no other one, 0 where the system does not say."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "RssAnon") << 10


def spare_bytes() -> int | None:
    """Return the memory that could be had without swapping, None where the system does not say."""
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable") << 10 or None


def _kilobytes(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
