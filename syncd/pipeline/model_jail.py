"""The jail of models' processes: they read their own files, compute, and drive the machine's cards where they compute on one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from syncd.pipeline.embed.variant import REFERENCE, Device
from syncd.runtime.jail import Jail, JailLimits, confine
from syncd.runtime.seccomp import Allowance

_CARDS = ("/dev/nvidia*", "/dev/nvidia-caps", "/dev/dri", "/dev/kfd")
_OF_DRIVERS = ("/etc", "/opt", "/proc/devices", "/proc/driver", "/proc/modules", "/proc/self", "/proc/sys", "/sys")
"""What drivers read beside what every process may."""
_DRIVING = JailLimits(file_bytes=None, open_files=4096)


def cards() -> list[str]:
    """Return the device files of the machine's graphics cards."""
    return sorted(path for pattern in _CARDS for path in glob(pattern))


def uses_card(device: Device = "auto", runtime: str = REFERENCE) -> bool:
    """Return whether a model is computed on a card, where `device` lets it: one that llama.cpp finds, any of NVIDIA's by others.

    For llama.cpp this starts the card's driver, so that it need not be started in the jail, where it can start no program
    (nvidia-modprobe) and make no device file.
    """
    if device == "cpu" or not (found := cards()):
        return False
    if runtime != REFERENCE:
        return any(path.startswith("/dev/nvidia") for path in found)
    # with llama.cpp, which processes of machines without a card do not need before they are in the jail
    from syncd.pipeline.embed.devices import Registry

    return bool(Registry().gpus())


def confine_model(files: Sequence[Path], runtime: str = REFERENCE, *, on_card: bool) -> str:
    """Put this process into the jail for good: it reads these files and writes none.

    On a card the driver's own threads are bound by the filter of system calls alone. Other engines than llama.cpp bring
    libraries that nobody has listed the calls of; on a card they compile, so of those only the network and other processes
    are out of reach. Returns what the jail lacks, as `confine` does.
    """
    readable = [str(file) for file in files]
    if on_card and runtime != REFERENCE:
        return confine(Jail(Allowance.PROGRAMS, _DRIVING, writable=["/"], devices=["/dev"]))
    if on_card:
        libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
        kept = [str(Path.home() / ".nv"), "/dev/shm"]  # noqa: S108 - drivers keep compiled code and share memory there
        readable = [*readable, *_OF_DRIVERS, *filter(None, libraries)]
        return confine(Jail(Allowance.DEVICES, _DRIVING, writable=kept, readable=readable, devices=cards()))
    return confine(Jail(Allowance.COMPUTE if runtime == REFERENCE else Allowance.DEVICES, readable=readable))
