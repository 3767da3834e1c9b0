"""One daemon computes the model for another: the real program on both sides, real HTTP between them."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from syncd.chroma.server import free_port
from tests.daemon import MINILM, Daemon

FILES = 40


def notes(folder: Path, numbers) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"note_{number}.md").write_text(f"# Note {number}\n\nThe lamp number {number} is lit at dusk.\n")


def computing(folder: Path, port: int, models: Path) -> Daemon:
    return Daemon(folder, f'[api]\nport = {port}\n[embedding]\ndefault_model = "{MINILM}"\nmodels_dir = "{models}"\n')


def syncing(folder: Path, servers: Mapping[int, Daemon], models: Path, source: Path) -> Daemon:
    """A daemon that has its texts computed by others, whose tokens it shows: nobody else may start models there."""
    given = "\n".join(
        f'[[embedding.servers]]\nurl = "http://127.0.0.1:{port}/v1"\nkind = "syncd"\napi_key_env = "KEY_{port}"'
        for port in servers
    )
    return Daemon(
        folder,
        f"""
[api]
port = 0
[embedding]
default_model = "{MINILM}"
models_dir = "{models}"
{given}
[[sources]]
name = "notes"
type = "folder"
path = "{source}"
collection = "notes"
""",
        environment={f"KEY_{port}": server.token() for port, server in servers.items()},
    )


def until(condition, limit_s: float = 90.0):
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def documents(daemon: Daemon) -> int:
    return daemon.rows("SELECT count(*) FROM documents WHERE state = 'indexed'")[0][0]


def told(daemon: Daemon, *arguments: str) -> str:
    command = [sys.executable, "-m", "syncd", *arguments, "--config", str(daemon.folder / "syncd.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


def count(daemon: Daemon, table: str) -> int:
    return daemon.rows(f"SELECT count(*) FROM {table}")[0][0]


@pytest.fixture
def running():
    daemons = []
    yield daemons
    for daemon in daemons:
        if daemon.process is not None and daemon.process.poll() is None:
            assert daemon.stop() == 0


def test_servers_share_the_work_go_on_without_one_and_it_waits_without_any(running, minilm_folder, tmp_path):
    ports = [free_port(), free_port()]
    first, second = (computing(tmp_path / f"computing-{port}", port, minilm_folder).start() for port in ports)
    running += [first, second]
    notes(tmp_path / "notes", range(FILES))
    daemon = syncing(
        tmp_path / "syncing", {ports[0]: first, ports[1]: second}, tmp_path / "models", tmp_path / "notes"
    ).start()
    running.append(daemon)
    until(lambda: documents(daemon) == FILES)
    # Its own file only said what servers must compute.
    children = [child.cmdline() for child in psutil.Process(daemon.process.pid).children(recursive=True)]
    assert not [line for line in children if "syncd.pipeline.embed.worker" in line]

    first.kill()
    notes(tmp_path / "notes", range(FILES, 2 * FILES))
    until(lambda: documents(daemon) == 2 * FILES)

    second.kill()
    notes(tmp_path / "notes", range(2 * FILES, 3 * FILES))
    until(lambda: daemon.unsettled() == 1 and "model.server_lost" in daemon.log())
    assert documents(daemon) == 2 * FILES
    until(lambda: f"{MINILM} is waited for: http://127.0.0.1:" in told(daemon, "status"))
    first.start()
    until(lambda: documents(daemon) == 3 * FILES)

    assert daemon.stop() == 0
    runs = count(daemon, "invocations")
    alone = syncing(daemon.folder, {}, tmp_path / "models", tmp_path / "notes").start()
    running.append(alone)
    until(lambda: count(alone, "invocations") > runs and alone.unsettled() == 0)
    assert count(alone, "vectors") == documents(alone) == 3 * FILES
    last = alone.rows("SELECT json_extract(counts, '$.chunks_embedded') FROM invocations ORDER BY seq DESC LIMIT 1")
    assert last == [(0,)]
