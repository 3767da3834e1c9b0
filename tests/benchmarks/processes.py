"""What a running process and its children cost: CPU seconds, memory, peaks. Linux only."""

from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1 << 20
_RESET_PEAK = "5"


@dataclass(frozen=True)
class Cpu:
    """CPU seconds: of the process itself, of the model's process, and of all its children."""

    own_s: float
    model_s: float
    children_s: float

    @property
    def all_s(self) -> float:
        return self.own_s + self.children_s

    def __str__(self) -> str:
        rest_s = self.children_s - self.model_s
        return (
            f"{self.all_s:.1f} s: model {self.model_s:.1f}, daemon alone {self.own_s:.1f}, other children {rest_s:.1f}"
        )

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.own_s - earlier.own_s, self.model_s - earlier.model_s, self.children_s - earlier.children_s)


class Watched:
    """One daemon under observation, by its process id."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process = psutil.Process(pid)

    def cpu(self) -> Cpu:
        """Return what was used so far; children that have ended count as children."""
        own = self._process.cpu_times()
        model_s, children_s = 0.0, own.children_user + own.children_system
        for child in self._process.children(recursive=True):
            try:
                times, command = child.cpu_times(), child.cmdline()
            except psutil.NoSuchProcess:
                continue
            # A child's children that have ended are in its own count.
            used_s = times.user + times.system + times.children_user + times.children_system
            children_s += used_s
            if any("embed.worker" in word for word in command):
                model_s += used_s
        return Cpu(own.user + own.system, model_s, children_s)

    def memory_mib(self) -> float:
        """Return the resident memory of the process alone, as of now."""
        return self._status("VmRSS")

    def children_memory_mib(self) -> dict[str, float]:
        """Return the resident memory of each child, by what it is."""
        found: dict[str, float] = {}
        for child in self._process.children(recursive=True):
            try:
                words, memory = child.cmdline(), child.memory_info().rss / MIB
            except psutil.NoSuchProcess:
                continue
            name = next(
                (word for word in words if word.startswith("syncd.")), "chroma" if "chroma" in str(words) else words[0]
            )
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
