"""One bit flips in any file of a state folder while no daemon runs on it: the next one heals that by itself, or says what is wrong."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.power import STOPPED, History

CHECKS = "verify_interval_s = 2\nprobe_interval_s = 2"
"""What is otherwise looked for every hour, or every ten minutes."""


@dataclass(frozen=True)
class Flip:
    """One bit of a file, named by its path below the state folder."""

    file: str
    byte: int
    bit: int


def flips(history: History, rng: random.Random, count: int) -> Iterator[tuple[Flip, list[str]]]:
    """Make the state folder as it was after the polite stop, but for one bit; yield which, and what was acknowledged before.

    As many flips fall on git's copies, on Chroma's files, on the database and on the rest, and there on any file, be it small or large.
    """
    disk = next(disk for disk in history.moments() if disk.marks[-1:] == [STOPPED])
    sound = history.folder / "sound"
    sound.mkdir(mode=0o700)
    disk.after(None, rng, sound)
    parts: dict[str, list[Path]] = {}
    for path in sorted(sound.rglob("*")):
        if path.is_file() and path.stat().st_size:
            part = path.relative_to(sound).parts[0]
            parts.setdefault(part if part in ("git", "chroma", "syncd.sqlite") else "", []).append(path)
    for _ in range(count):
        file = rng.choice(parts[rng.choice(sorted(parts))])
        flip = Flip(str(file.relative_to(sound)), rng.randrange(file.stat().st_size), rng.randrange(8))
        shutil.rmtree(history.state, ignore_errors=True)
        shutil.copytree(sound, history.state, symlinks=True)
        with (history.state / flip.file).open("r+b") as there:
            there.seek(flip.byte)
            byte = there.read(1)[0] ^ 1 << flip.bit
            there.seek(flip.byte)
            there.write(bytes([byte]))
        yield flip, [name for name in disk.marks if name != STOPPED]
