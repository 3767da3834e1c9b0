"""What takes the place of a state folder's database, recovered or imported, has it for good, whenever the power fails."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncd.sources.registry import TYPES
from syncd.store import Store
from syncd.store.backup import export_state
from tests.faults.power_disk import Disk, compiled, records

RECOVER = """
import sys, anyio
from pathlib import Path
from syncd.cli.doctor import recover
from syncd.sources.registry import TYPES
from syncd.store.salvage import take_place
path, recovered = Path(sys.argv[1], "syncd.sqlite"), Path(sys.argv[1], "syncd.sqlite.recovered")
anyio.run(recover, path, recovered, TYPES)
take_place(path, recovered)
"""
IMPORT = """
import sys
from pathlib import Path
from syncd.sources.registry import TYPES
from syncd.store.restore import import_state
import_state(Path(sys.argv[2]), Path(sys.argv[1]), TYPES.migrations, lambda *_: None)
"""


@pytest.fixture
async def state(tmp_path):
    """A state folder with a file of an upload that waits."""
    folder = tmp_path / "state"
    store = await Store.open(folder, TYPES)
    await store.credentials.add("db", "git", {"token": "one"})
    await store.close()
    (folder / "uploads").mkdir()
    (folder / "uploads" / "waiting").write_bytes(b"an upload")
    return folder


def lasting(root: Path, script: str, *more: Path) -> Iterator[dict[str, bytes]]:
    """Run a script on a folder, and yield which files are sure to be in that after each of its effects."""
    disk, log = Disk(root), root.with_name("trace")
    trace = {"LD_PRELOAD": compiled(root.parent), "POWER_ROOT": root, "POWER_LOG": log}
    command = [sys.executable, "-c", script, str(root), *map(str, more)]
    subprocess.run(command, env={**os.environ, **{name: str(value) for name, value in trace.items()}}, check=True)
    for record in records(log.read_bytes()):
        disk.follow(record)
        yield disk.lasting()


def test_a_recovered_database_lasts_and_its_predecessor_never_loses_its_log_before(state, tmp_path):
    folder = tmp_path / "copied"
    with closing(sqlite3.connect(state / "syncd.sqlite")) as connection:
        connection.execute("INSERT INTO vectors (key, vector, used_at) VALUES ('in the log', x'00', 0)")
        connection.commit()
        shutil.copytree(state, folder)
    damaged = (folder / "syncd.sqlite").read_bytes()
    moments = list(lasting(folder, RECOVER))
    with closing(sqlite3.connect(folder / "syncd.sqlite")) as connection:
        assert connection.execute("SELECT key FROM vectors").fetchall() == [("in the log",)]
    recovered = (folder / "syncd.sqlite").read_bytes()
    assert moments[-1]["syncd.sqlite"] == recovered
    for files in moments:
        has_log, is_new = "syncd.sqlite-wal" in files, files["syncd.sqlite"] == recovered
        assert not (has_log and is_new), "SQLite would play the log into it"
        assert has_log or is_new or "syncd.sqlite.recovered" in files
        assert is_new or files["syncd.sqlite"] == damaged
    assert {"syncd.sqlite.damaged", "syncd.sqlite.damaged-wal"} <= moments[-1].keys()


def test_an_imported_database_lasts_and_is_never_there_without_the_rest(state, tmp_path):
    export_state(state, tmp_path / "export", "1.0", lambda *_: None, with_secrets=True)
    other = tmp_path / "other"
    other.mkdir()
    with_database = [files for files in lasting(other, IMPORT, tmp_path / "export") if "syncd.sqlite" in files]
    there = {str(path.relative_to(other)): path.read_bytes() for path in other.rglob("*") if path.is_file()}
    assert there["uploads/waiting"] == b"an upload"
    assert with_database
    for files in with_database:
        assert {name: files.get(name) for name in there} == there
