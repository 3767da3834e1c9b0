"""What is done to a daemon while it works: its processes are killed or stopped, its disk fills up, its clock jumps, documents are
poisoned, a second daemon is started.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from syncd.chroma.server import _PROGRAM as CHROMA
from syncd.pipeline.embed.catalog import MINILM, Catalog
from syncd.pipeline.embed.files import find_file
from tests.faults.disturbed import Disturbed, Fault, restart
from tests.faults.kept import LIMIT_S
from tests.faults.poison import poisoned
from tests.faults.processes import MODEL, PREPARER, children, signalled
from tests.faults.story import Story
from tests.faults.truth import killed
from tests.forked import Forks

SPREAD_S = 1.0
"""What a change takes: the moment of a fault is spread over it."""
HANG_S = 4.0
INDEX_WRITE_S = 0.03
"""What writing an index's files takes."""
OFFSET = "CLOCK_OFFSET"
FEW_SECTIONS, MANY_SECTIONS = 10, 80
"""Of each of two files; many: several times as many chunks as Chroma keeps out of its index files (`indexed_early.py`)."""
DISK_MB = 256


def kill_daemon(life: Disturbed, rng: random.Random) -> int:
    """SIGKILL the daemon at any moment, also while it starts; a next one is started."""
    if rng.random() < 0.5:
        life.daemon.wait_ready()
    time.sleep(rng.random() * SPREAD_S)
    killed(life.daemon)
    life.daemon.launch()
    return 1


def kill(module: str) -> Fault:
    """Return what kills the processes that run a module."""

    def fault(life: Disturbed, rng: random.Random) -> int:
        time.sleep(rng.random() * SPREAD_S)
        # After one kill there is no other process before there is something for it to do.
        with suppress(TimeoutError):
            until(lambda: bool(children(life.daemon, module)), limit_s=HANG_S)
        return signalled(life.daemon, module, signal.SIGKILL)

    return fault


def kill_chroma(life: Disturbed, rng: random.Random) -> int:
    """SIGKILL Chroma while it writes its index files."""
    before = index_files(life.state)
    until(lambda: index_files(life.state) != before, every_s=0.0005)
    time.sleep(rng.random() * INDEX_WRITE_S)
    return signalled(life.daemon, CHROMA, signal.SIGKILL)


def hang(life: Disturbed, rng: random.Random) -> int:
    """SIGSTOP the daemon or one of its processes, for less or more than it is waited for."""
    time.sleep(rng.random() * SPREAD_S)
    daemon = life.daemon
    assert daemon.process is not None
    running = {module: children(daemon, module) for module in (MODEL, PREPARER, CHROMA)}
    pids = rng.choice([[daemon.process.pid], *filter(None, running.values())])
    for number, pause_s in ((signal.SIGSTOP, rng.random() * HANG_S), (signal.SIGCONT, 0.0)):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(pause_s)
    return 1


def fill_disk(life: Disturbed, rng: random.Random) -> int:
    """Leave no byte of the disk, and free it after a while. The daemon may end of it; a next one is started."""
    ballast = life.state / "ballast"
    time.sleep(rng.random() * SPREAD_S)
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    time.sleep(rng.random() * HANG_S)
    ballast.unlink()
    restart(life.daemon)
    return 1


def jump_clock(life: Disturbed, rng: random.Random) -> int:
    """Let the time of day jump by seconds to months, to either side of the real one."""
    time.sleep(rng.random() * SPREAD_S)
    offset_s = rng.choice((-1, 1)) * 10 ** rng.uniform(1, 7)
    # Cut to nothing for a moment, the file would take the daemon down, which has it mapped.
    with Path(life.environment[OFFSET]).open("r+b", buffering=0) as file:
        file.write(round(offset_s).to_bytes(8, sys.byteorder, signed=True))
    return 1


def poison(life: Disturbed, rng: random.Random) -> int:
    """Put documents into the folder that no parser can make anything of, or that want too much, and take them away again."""
    names: list[str] = []
    for name, content in poisoned(rng, life.number):
        (life.notes / name).write_bytes(content)
        names.append(name)
    asked = f"SELECT count(*) FROM documents WHERE key IN ({', '.join('?' * len(names))})"
    until(lambda: life.daemon.rows(asked, *names) == [(len(names),)])
    for name in names:
        (life.notes / name).unlink()
    return len(names)


def start_second(life: Disturbed, rng: random.Random) -> int:
    """Start another daemon on the state folder; it has to refuse."""
    time.sleep(rng.random() * SPREAD_S)
    with (life.folder / "second").open("wb") as output:
        second = life.daemon.begin(output.fileno())
    assert second.wait(LIMIT_S) == 78, (life.folder / "second").read_text()
    return 1


def index_files(state: Path) -> dict[Path, tuple[int, int]]:
    """Return when each index file was last written, and how long it is."""
    found: dict[Path, tuple[int, int]] = {}
    for path in (state / "chroma").glob("*/*.bin"):
        with suppress(FileNotFoundError):
            status = path.stat()
            found[path] = status.st_mtime_ns, status.st_size
    return found


def compiled_clock(folder: Path) -> dict[str, str]:
    """Compile the library by which a daemon's clock jumps; return the environment that the daemon needs."""
    library, offset = folder / "clock_shift.so", folder / "offset"
    source = Path(__file__).with_name("clock_shift.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    offset.write_bytes(bytes(8))
    return {"LD_PRELOAD": str(library), OFFSET: str(offset)}


def until(is_true: Callable[[], bool], every_s: float = 0.02, limit_s: float = LIMIT_S) -> None:
    """Wait until a condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(every_s)


@dataclass(frozen=True)
class Disturbance:
    """A fault, and the daemons that it is done to."""

    label: str
    fault: Fault
    per_run: int = 1
    is_whole: bool = False
    """Whether large files change from end to end, which has Chroma write its index files; of one daemon's life otherwise nothing would."""
    has_model: bool = False
    """Whether the real model computes vectors; otherwise there is no process of it."""
    has_clock: bool = False
    has_own_disk: bool = False

    @property
    def length(self) -> int:
        """How many changes a story has."""
        return 8 if self.is_whole else 20

    @property
    def kind(self) -> tuple[bool, bool]:
        """What tells the stories apart that different faults need."""
        return self.is_whole, self.has_model

    def story(self, folder: Path, seed: str) -> Story:
        """Find out what the collections hold all through a story; the real model, where it is needed, is fetched beside the folder."""
        sections = MANY_SECTIONS if self.is_whole else FEW_SECTIONS
        models = models_in(folder.parent) if self.has_model else None
        return Story(folder, f"{seed} {self.kind}", self.length, sections, self.is_whole, models).find_out()

    def life(self, folder: Path, story: Story, stack: ExitStack) -> Disturbed:
        """Make a daemon that does not run, and does not when the stack is closed."""
        folder.mkdir(parents=True)
        environment = compiled_clock(folder) if self.has_clock else {}
        if self.has_own_disk:
            stack.enter_context(own_disk(folder / "daemon"))
        forks = stack.enter_context(closing(Forks(environment))) if self.has_clock else None
        life = Disturbed(folder, story, forks, environment, is_restarted=self.has_own_disk)
        stack.callback(life.end)
        return life


@contextmanager
def own_disk(place: Path) -> Iterator[None]:
    """Mount a small file system in memory, which takes the right to."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def models_in(folder: Path) -> Path:
    """Return a folder with the real model, which is fetched once."""
    model = Catalog().find(MINILM)
    asyncio.run(find_file(model, model.file(), folder / "models"))
    return folder / "models"


DISTURBANCES = {
    "kills": Disturbance("daemon killed", kill_daemon, per_run=2),
    "model_kills": Disturbance("model killed", kill(MODEL), per_run=3, has_model=True),
    "parser_kills": Disturbance("parser killed", kill(PREPARER), per_run=3),
    "chroma_kills": Disturbance("Chroma killed as it writes its index", kill_chroma, is_whole=True),
    "hangs": Disturbance("a process stopped for a while", hang, per_run=2, has_model=True),
    "full_disks": Disturbance("disk full", fill_disk, has_own_disk=True),
    "clock_jumps": Disturbance("clock jumps", jump_clock, per_run=2, has_clock=True),
    "poisoned": Disturbance("poisoned documents", poison),
    "second_daemons": Disturbance("a second daemon", start_second, per_run=2),
}
"""By the names of their options."""
