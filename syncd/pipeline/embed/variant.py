"""How a model file is run: what the parent decides and tells the worker process, as plain values."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from syncd.errors import PermanentError

Pooling = Literal["mean", "cls", "last", "static"]
"""How a text's vector is made of its tokens'; `static`: those are looked up, and their mean is all that there is to compute."""
Device = Literal["auto", "cpu", "cuda", "metal", "vulkan"]
REFERENCE = "llama"
"""The engine that tokenises for all others with a kernel and says what is right."""

PROBE_TEXTS = (
    "def parse(line: str) -> tuple[str, int]:\n    name, _, count = line.partition('=')\n    return name, int(count)\n",
    "x",
    "Größe, 大きさ, размер",
    "The quick brown fox jumps over the lazy dog.",
)
"""Known texts by which two ways to compute one model are compared."""

_CPU_BATCH_TOKENS = 512
"""More gain nothing and make queries wait longer."""
_LANE_BATCH_TOKENS = 128
"""Fewer would cost more in calls than queries, for which the first free lane is soon enough, gain."""
GPU_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs between builds and machines and never changes what a vector means; the start-up probe chooses it.

    `tap`: stop before the vocabulary head. `extra_bufts`: let llama.cpp repack weights for AMX and the like, which
    some compilers miscompile. `runtime`: the engine that computes; llama.cpp tokenises either way.
    """

    tap: bool = True
    extra_bufts: bool = True
    runtime: str = REFERENCE


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One model file and how the worker process runs it. `max_tokens` counts the special tokens of a window.

    `device_number` counts the devices of that kind. `threads` 0: every core this process may use; as many `lanes`, of which
    this process is one, share them. `cores`: the only ones it runs on, if there are any. `batch_tokens` 0: by the device and its free memory. `sequences` is how many texts one decode may hold; 0: one at a time
    for bidirectional models on a CPU, where attention over the whole batch costs more than calls do, else 32.
    """

    path: Path
    pooling: Pooling
    max_tokens: int
    variant: Variant = field(default_factory=Variant)
    device: Device = "auto"
    device_number: int = 0
    threads: int = 0
    sequences: int = 0
    batch_tokens: int = 0
    lanes: int = 1
    cores: tuple[int, ...] = ()
    niceness: int = 10

    def on(self, device_number: int) -> Self:
        """Return the same settings for another of several devices."""
        return replace(self, device_number=device_number)

    def with_variant(self, variant: Variant) -> Self:
        """Return the same settings for another variant."""
        return replace(self, variant=variant)

    def all_threads(self) -> int:
        """Return how many threads all lanes compute with together."""
        return self.threads or usable_cores()

    def own_threads(self) -> int:
        """Return how many threads this process computes with."""
        return len(self.cores) or max(1, self.all_threads() // self.lanes)

    def to_json(self) -> str:
        """Return them as one command-line argument."""
        return json.dumps({**asdict(self), "path": str(self.path)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        values["path"] = Path(values["path"])
        values["variant"] = Variant(**values["variant"])
        values["cores"] = tuple(values["cores"])
        return cls(**values)


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_batch_tokens(settings: RunSettings) -> int:
    """Return how many tokens a CPU computes at a time by default: of several lanes each is slower, and a query waits for it."""
    return max(_LANE_BATCH_TOKENS, _CPU_BATCH_TOKENS // settings.lanes)


def batch_tokens(settings: RunSettings, usual: int, room_tokens: int | None = None) -> int:
    """Return how many tokens of several windows one decode should hold: `usual`, unless the settings say otherwise.
    `room_tokens` is what fits into the device's free memory. A longer window is computed alone.

    Raises PermanentError when not even the longest window fits.
    """
    if room_tokens is not None and room_tokens < settings.max_tokens:
        raise PermanentError(
            f"{settings.path.name}: the device's free memory holds {room_tokens} tokens, max_tokens is {settings.max_tokens}: "
            "free some, lower the model's max_tokens, or set embedding.device = 'cpu'"
        )
    wanted = settings.batch_tokens or usual
    return wanted if room_tokens is None else min(wanted, room_tokens)
