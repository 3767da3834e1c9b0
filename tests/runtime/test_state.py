import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from syncd.errors import ConfigError
from syncd.runtime.state import PID_FILE, SCRATCH_FILE, scratch_folder, state_folder

HOLD = """
import sys, time, pathlib
from syncd.runtime.state import state_folder
with state_folder(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""

LEAVES = """
import os, pathlib, signal, sys, time
from syncd.runtime.state import state_folder
with state_folder(pathlib.Path(sys.argv[1])):
    if child := os.fork():
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
"""


def holder(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_folder_is_made_for_its_owner_only_and_names_the_process(tmp_path):
    with state_folder(tmp_path / "a" / "state") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / PID_FILE).read_text() == f"{os.getpid()}\n"


def test_a_folder_that_others_could_read_is_closed_with_a_word(tmp_path):
    (tmp_path / "syncd.sqlite").touch(0o644)
    tmp_path.chmod(0o755)
    with capture_logs() as said, state_folder(tmp_path) as folder:
        assert (folder.stat().st_mode & 0o777, (folder / "syncd.sqlite").stat().st_mode & 0o777) == (0o700, 0o600)
    closed = [str(tmp_path), str(tmp_path / "syncd.sqlite")]
    assert [(line["event"], line["closed"]) for line in said] == [("state.was_open", closed)]
    with capture_logs() as said, state_folder(tmp_path):
        assert said == []


def test_temporary_files_of_a_killed_process_are_removed_and_nobody_elses(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder(tmp_path) as folder:
        left = Path(tempfile.mkdtemp(prefix="prepare-"))
        (left / "document").write_text("of a tenant")
        assert left.parent == folder
        assert folder.stat().st_mode & 0o777 == 0o700
        note = (tmp_path / SCRATCH_FILE).read_text()
    assert not folder.exists()
    # As a killed process leaves it.
    left.mkdir(parents=True)
    (tmp_path / SCRATCH_FILE).write_text(note)
    with scratch_folder(tmp_path):
        assert not folder.exists()
    for foreign in (tmp_path / "precious", tmp_path / "syncd-0123456789"):
        foreign.mkdir()
        (tmp_path / SCRATCH_FILE).write_text(str(foreign))
        with scratch_folder(tmp_path):
            assert foreign.exists()


def test_a_child_that_a_killed_daemon_was_just_starting_is_waited_for(tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", LEAVES, str(tmp_path)], stdout=subprocess.PIPE)
    child, waits = int(process.stdout.readline()), []
    assert process.wait() == -signal.SIGKILL

    def wait(seconds):
        if not waits:
            os.kill(child, signal.SIGKILL)
        waits.append(seconds)

    monkeypatch.setattr(time, "sleep", wait)
    with state_folder(tmp_path):
        assert waits
        assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"


def test_a_second_daemon_is_refused_with_the_process_and_the_folder(tmp_path):
    first = holder(tmp_path)
    said = rf"process {first.pid}\) uses the state folder {tmp_path}"
    try:
        with pytest.raises(ConfigError, match=said), state_folder(tmp_path):
            pass
    finally:
        first.kill()
        first.communicate()


def test_the_folder_is_free_after_the_block_and_after_a_kill(tmp_path):
    for _ in range(2):
        with state_folder(tmp_path):
            pass
    first = holder(tmp_path)
    first.kill()
    first.communicate()
    with state_folder(tmp_path):
        assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"


def test_a_child_does_not_keep_the_folder_of_a_killed_daemon(tmp_path):
    program = HOLD.replace(
        'print("held"',
        'import subprocess; child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL); print(child.pid',
    )
    daemon = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    orphan = int(daemon.stdout.readline())
    daemon.kill()
    daemon.communicate()
    try:
        with state_folder(tmp_path):
            os.kill(orphan, 0)
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_folder_that_cannot_be_used_is_a_configuration_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"), state_folder(tmp_path / "file"):
        pass


def test_a_name_that_a_flipped_bit_made_unreadable_keeps_nobody_from_making_another(tmp_path):
    (tmp_path / SCRATCH_FILE).write_bytes(b"/tmp/syncd-\xb1234567")
    with scratch_folder(tmp_path) as folder:
        assert folder.is_dir()
