"""The jail of models' processes: they read their own files, compute, and drive the machine's cards where they compute on one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from glob import glob
from pathlib import Path

from syncd.pipeline.embed.variant import REFERENCE, Device
from syncd.runtime.jail import Jail, JailLimits, confine
from syncd.runtime.seccomp import Allowance

_CARDS = ("/dev/nvidia*", "/dev/nvidia-caps", "/dev/dri", "/dev/kfd")
_OF_DRIVERS = (
    "/etc",
    "/opt",
    "/proc/devices",
    "/proc/driver",
    "/proc/filesystems",
    "/proc/modules",
    "/proc/self",
    "/proc/stat",
    "/proc/sys",
    "/proc/version",
    "/sys",
)
"""What drivers read beside what every process may."""
_START_DRIVER = "import ctypes; ctypes.CDLL('libcuda.so.1').cuInit(0)"
_START_LIMIT_S = 60.0
_DRIVING = JailLimits(file_bytes=None, open_files=4096)


def cards() -> list[str]:
    """Return the device files of the machine's graphics cards."""
    return sorted(path for pattern in _CARDS for path in glob(pattern))


def uses_card(device: Device = "auto", runtime: str = REFERENCE) -> bool:
    """Return whether a model is computed on a card, where `device` lets it: one that llama.cpp finds, any of NVIDIA's by others.

    This starts the card's driver, so that it need not be started in the jail, where no program (nvidia-modprobe) may make
    device files: in this process for llama.cpp, in one that ends at once for others.
    """
    if device == "cpu" or not (found := cards()):
        return False
    if runtime != REFERENCE:
        if not any(path.startswith("/dev/nvidia") for path in found):
            return False
        with suppress(OSError, subprocess.SubprocessError):  # without a driver, the engine says so itself
            subprocess.run(  # noqa: S603 - our own words
                [sys.executable, "-c", _START_DRIVER], stderr=subprocess.DEVNULL, check=False, timeout=_START_LIMIT_S
            )
        return True
    # with llama.cpp, which processes of machines without a card do not need before they are in the jail
    from syncd.pipeline.embed.devices import Registry

    return bool(Registry().gpus())


def confine_model(files: Sequence[Path], runtime: str = REFERENCE, *, on_card: bool) -> str:
    """Put this process into the jail for good: it reads these files and writes none.

    On a card, the threads that llama.cpp's driver has begun are bound by the filter of system calls alone. Other engines bring
    libraries that nobody has listed the calls of, and on a card they compile: there they start programs, in the same jail,
    and write to `~/.triton`, where Triton keeps what was compiled. Returns what the jail lacks, as `confine` does.
    """
    readable = [str(file) for file in files]
    if not on_card:
        return confine(Jail(Allowance.COMPUTE if runtime == REFERENCE else Allowance.DEVICES, readable=readable))
    readable += [*_OF_DRIVERS, *filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))]
    kept = [str(Path.home() / ".nv"), "/dev/shm"]  # noqa: S108 - drivers keep compiled code and share memory there
    if runtime == REFERENCE:
        return confine(Jail(Allowance.DEVICES, _DRIVING, kept, readable, cards()))
    return confine(Jail(Allowance.PROGRAMS, _DRIVING, [*kept, _folder_to_compile_in()], readable, cards()))


def _folder_to_compile_in() -> str:
    """Return Triton's folder, with the one for temporary files of compilers in it; without it nothing is compiled."""
    folder = Path.home() / ".triton"
    temporary = folder / "tmp"
    with suppress(OSError):
        temporary.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(temporary)
    return str(folder)
