"""What a running process and its children cost: CPU seconds, memory, peaks. Linux only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1 << 20
_RESET_PEAK = "5"
DAEMON, MODEL, ENDED = "daemon", "syncd.pipeline.embed.worker", "ended children"


def processor_s() -> float:
    """Return the processor seconds of this process and all below it, those that have ended and Ray's among them."""
    me = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (me, *me.children(recursive=True)))


@dataclass(frozen=True)
class Cpu:
    """CPU seconds, by process: the daemon itself, its children by what they are, and those that have ended."""

    used_s: Mapping[str, float]

    @property
    def all_s(self) -> float:
        return sum(self.used_s.values())

    @property
    def own_s(self) -> float:
        return self.used_s[DAEMON]

    @property
    def children_s(self) -> float:
        return self.all_s - self.own_s

    @property
    def model_s(self) -> float:
        return self.used_s.get(MODEL, 0.0)

    def __str__(self) -> str:
        most = sorted(self.used_s.items(), key=lambda item: -item[1])
        return f"{self.all_s:.1f} s: " + ", ".join(f"{name} {used_s:.1f}" for name, used_s in most if used_s >= 0.05)

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu({name: used_s - earlier.used_s.get(name, 0.0) for name, used_s in self.used_s.items()})


def name_of(process: psutil.Process) -> str:
    """Return what a child of the daemon is, from its command line."""
    words = process.cmdline() or [process.name()]
    ours = next((word for word in words if word.startswith("syncd.")), None)
    return ours or ("chroma" if "chroma" in str(words) else words[0])


class Watched:
    """One daemon under observation, by its process id."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process = psutil.Process(pid)

    def cpu(self) -> Cpu:
        """Return what was used so far."""
        own = self._process.cpu_times()
        used_s = {DAEMON: own.user + own.system, ENDED: own.children_user + own.children_system}
        for child in self._process.children(recursive=True):
            try:
                times, name = child.cpu_times(), name_of(child)
            except psutil.NoSuchProcess:
                continue
            # A child's children that have ended are in its own count.
            child_s = times.user + times.system + times.children_user + times.children_system
            used_s[name] = used_s.get(name, 0.0) + child_s
        return Cpu(used_s)

    def memory_mib(self) -> float:
        """Return the resident memory of the process alone, as of now."""
        return self._status("VmRSS")

    def children_memory_mib(self) -> dict[str, float]:
        """Return the resident memory of each child, by what it is."""
        found: dict[str, float] = {}
        for child in self._process.children(recursive=True):
            try:
                name, memory = name_of(child), child.memory_info().rss / MIB
            except psutil.NoSuchProcess:
                continue
            found[name] = found.get(name, 0.0) + memory
        return found

    def forget_peak(self) -> None:
        """Begin a new measurement of the peak."""
        Path(f"/proc/{self._pid}/clear_refs").write_text(_RESET_PEAK)

    def peak_mib(self) -> float:
        """Return the most resident memory the process alone has had since `forget_peak`."""
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"/proc has no {name}")
