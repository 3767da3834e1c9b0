"""The real program in a process of its own, for tests and benchmarks."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from watchfiles import watch

from syncd.chroma.server import free_port
from tests.forked import Forked, Forks, shared_forks

if TYPE_CHECKING:
    from chromadb import Collection, GetResult
    from chromadb.api import ClientAPI

START_LIMIT_S = 120.0
POLL_S = 0.05
BEFORE_ANYTHING = {"LD_PRELOAD", "PYTHONPATH"}
"""Variables that take effect when a process starts."""
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass
class Daemon:
    """One state folder and the daemon that runs on it, if any. `program` is the module to run."""

    folder: Path
    config: str
    program: tuple[str, ...] = ("syncd",)
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen | Forked | None = None
    is_private: bool = False
    """Whether the daemon's own Chroma is in a network of its own, as it is by default."""
    forks: Forks | None = None
    """What starts it; None: what starts all in tests. Itself, which takes more than two CPU seconds more, where anything is measured
    (benchmarks), or where its environment matters from its start on.
    """

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def configuration(self) -> Path:
        return self.folder / "syncd.toml"

    def start(self) -> "Daemon":
        """Start it and wait until it serves."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start it; it need not get far."""
        self.write_configuration()
        (self.state / "daemon.json").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = self.begin(log.fileno())

    def begin(self, output: int) -> subprocess.Popen | Forked:
        """Start the program on the configuration that is there; what it writes goes to the file `output`."""
        arguments = [*self.program, "run", "--config", str(self.configuration)]
        environment = {**os.environ, **self.chroma_port(), **self.environment}
        if forks := self.forks or self._common_forks():
            return forks.start(arguments, environment, output)
        return subprocess.Popen([sys.executable, "-m", *arguments], stdout=output, stderr=output, env=environment)

    def _common_forks(self) -> Forks | None:
        is_test = "PYTEST_CURRENT_TEST" in os.environ
        return shared_forks() if is_test and not BEFORE_ANYTHING & self.environment.keys() else None

    def chroma_port(self) -> dict[str, str]:
        """Have the daemon's own Chroma open, unless the configuration says where Chroma is: tests look into it themselves."""
        stores = {
            name: table.keys() for name, table in tomllib.loads(self.config).items() if name in ("chroma", "qdrant")
        }
        is_said = "qdrant" in stores or {"mode", "port"} & stores.get("chroma", set())
        return {} if self.is_private or is_said else {"SYNCD_CHROMA__PORT": str(free_port())}

    def write_configuration(self) -> Path:
        """Write its configuration file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configuration.write_text(f'state_dir = "{self.state}"\n' + self.config)
        return self.configuration

    def wait_ready(self) -> None:
        """Wait until it has written down where it listens."""
        deadline = time.monotonic() + START_LIMIT_S
        while not (self.state / "daemon.json").exists():
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(POLL_S)

    def is_ready_or_dead(self) -> bool:
        """Wait until it serves, or has ended by itself; return whether it serves."""
        assert self.process is not None
        deadline = time.monotonic() + START_LIMIT_S
        while self.process.poll() is None and not (self.state / "daemon.json").exists():
            assert time.monotonic() < deadline, self.log()
            time.sleep(POLL_S)
        return self.process.poll() is None

    def wait_dead(self, limit_s: float = START_LIMIT_S) -> int:
        """Wait until it has ended by itself and return how."""
        assert self.process is not None
        return self.process.wait(limit_s)

    def kill(self) -> None:
        """SIGKILL the daemon itself; its children follow by their own tie."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Stop it gently and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-6000:]

    def announced(self) -> dict[str, Any]:
        return json.loads((self.state / "daemon.json").read_text())

    def token(self) -> str:
        return (self.state / "token").read_text().strip()

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the state database from beside the daemon."""
        with sqlite3.connect(f"file:{self.state / 'syncd.sqlite'}?mode=ro", uri=True, timeout=10) as connection:
            return connection.execute(statement, values).fetchall()

    def commits(self) -> Iterator[None]:
        """Yield now and whenever the daemon has committed something, or a second has passed, for as long as it lives."""
        yield
        options = {"debounce": 50, "step": 10, "rust_timeout": 1000, "yield_on_timeout": True, "recursive": False}
        for _ in watch(self.state, watch_filter=lambda _change, path: path.endswith("-wal"), **options):
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            yield

    def unsettled(self) -> int:
        return self.rows("SELECT count(*) FROM invocations WHERE state IN ('pending', 'processing')")[0][0]

    def holds(self, commit: str) -> bool:
        """Tell whether the collection's cursor is at `commit` and nothing is left to do."""
        cursors = [json.loads(cursor) for (cursor,) in self.rows("SELECT cursor FROM cursors") if cursor]
        return any(c.get("sha") == commit and not c.get("toward") for c in cursors) and self.unsettled() == 0

    def wait_for(self, commit: str, limit_s: float = 120.0) -> None:
        """Wait until the collection holds `commit`."""
        self.wait_until(lambda: self.holds(commit), limit_s)

    def wait_until(self, is_true: Callable[[], bool], limit_s: float = 120.0) -> None:
        """Wait until a condition holds, as long as the daemon lives."""
        deadline = time.monotonic() + limit_s
        while not is_true():
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(POLL_S)


@dataclass(frozen=True)
class Held:
    """What a collection holds, comparable: by id, document, metadata (source ids differ between daemons), vector."""

    rows: dict[str, tuple[str, dict[str, Any]]]
    vectors: dict[str, list[float]]

    def assert_equals(self, other: "Held") -> None:
        assert sorted(self.rows) == sorted(other.rows)
        for chunk_id, row in self.rows.items():
            assert row == other.rows[chunk_id], chunk_id
        for chunk_id, vector in self.vectors.items():
            assert float(np.dot(vector, other.vectors[chunk_id])) > 1 - 1e-4, chunk_id


@lru_cache(maxsize=16)
def client_at(host: str, port: int) -> "ClientAPI":
    """Return an ordinary Chroma client, which takes 0.1 CPU seconds to make. It need not reach a server yet."""
    import chromadb

    return chromadb.HttpClient(host=host, port=port)


def held(host: str, port: int, name: str) -> Held:
    """Read a whole collection with an ordinary Chroma client."""
    found = whole(client_at(host, port).get_collection(name))
    rows = {
        chunk_id: (document, {key: value for key, value in metadata.items() if key != "source_id"})
        for chunk_id, document, metadata in zip(found["ids"], found["documents"], found["metadatas"], strict=True)
    }
    vectors = {i: list(map(float, v)) for i, v in zip(found["ids"], found["embeddings"], strict=True)}
    return Held(rows, vectors)


def whole(collection: "Collection") -> "GetResult":
    """Return all rows of a collection; read again where one was deleted meanwhile, which Chroma calls an internal error, as it does
    beside the very first write, when it may also return rows without vectors.
    """
    from chromadb.errors import InternalError

    for reads_left in reversed(range(100)):
        try:
            found = collection.get(include=["documents", "metadatas", "embeddings"])
            if len(found["embeddings"]) == len(found["ids"]) or not reads_left:
                return found
        except InternalError as error:
            if not reads_left or not re.search("Error finding id|Nothing found on disk", str(error)):
                raise
        time.sleep(POLL_S)
    raise AssertionError
