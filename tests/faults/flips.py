"""One bit flips in any file of a state folder while no daemon runs on it: the next one heals that by itself, or says what is wrong."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from syncd.store.checked_tables import CHECKED_TABLES
from tests.faults.power import STOPPED, History

CHECKS = "verify_interval_s = 2\nprobe_interval_s = 2"
"""What is otherwise looked for every hour, or every ten minutes."""

ROWS = "rows"
SHORT = 12
"""Shorter texts are in other places too."""


@dataclass(frozen=True)
class Flip:
    """One bit of a file, named by its path below the state folder."""

    file: str
    byte: int
    bit: int


def flips(history: History, rng: random.Random, count: int) -> Iterator[tuple[Flip, list[str]]]:
    """Make the state folder as it was after the polite stop, but for one bit; yield which, and what was acknowledged before.

    As many flips fall on git's copies, on Chroma's files, on the database, on its rows that decide what happens and on the rest, and there
    on any file, be it small or large.
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
    database = sound / "syncd.sqlite"
    deciding = cells(database)
    for _ in range(count):
        part = rng.choice([*sorted(parts), ROWS])
        file = database if part == ROWS else rng.choice(parts[part])
        byte = rng.choice(rng.choice(deciding)) if part == ROWS else rng.randrange(file.stat().st_size)
        flip = Flip(str(file.relative_to(sound)), byte, rng.randrange(8))
        shutil.rmtree(history.state, ignore_errors=True)
        shutil.copytree(sound, history.state, symlinks=True)
        with (history.state / flip.file).open("r+b") as there:
            there.seek(flip.byte)
            byte = there.read(1)[0] ^ 1 << flip.bit
            there.seek(flip.byte)
            there.write(bytes([byte]))
        yield flip, [name for name in disk.marks if name != STOPPED]


def cells(database: Path) -> list[range]:
    """Return where the texts of the rows that decide what happens are in a database's file, checkpointed, outside of its log."""
    content, found = database.read_bytes(), list[range]()
    with closing(sqlite3.connect(f"{database.as_uri()}?immutable=1", uri=True)) as connection:
        connection.text_factory = bytes
        for table in CHECKED_TABLES:
            for row in connection.execute(f"SELECT {', '.join(table.texts)} FROM {table.name} NOT INDEXED"):
                long = [cell for cell in row if cell and len(cell) > SHORT and content.count(cell) == 1]
                found += [range(at, at + len(cell)) for cell in long for at in [content.index(cell)]]
    return found
