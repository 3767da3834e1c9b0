import os
import socket
import time

import pytest

from syncd import __version__
from syncd.cli import main
from syncd.cli.daemon_diagnoses import diagnoses_of
from syncd.runtime.state import state_folder


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    """`syncd doctor` on a configuration and a state folder: its exit status, and what it printed of what."""
    monkeypatch.setenv("SYNCD_API__PORT", "0")

    def run(config: str = "") -> tuple[int, dict[str, tuple[str, str]]]:
        file = tmp_path / "syncd.toml"
        file.write_text(f'state_dir = "{tmp_path / "state"}"\n{config}')
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--config", str(file)])
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        return ended.value.code, {
            about: (mark, said) for mark, text in lines for about, _, said in [text.partition(": ")]
        }

    return run


def test_before_the_first_start_everything_is_in_order_and_nothing_is_made(doctor, tmp_path):
    status, found = doctor()
    assert (status, {mark for mark, _ in found.values()}) == (0, {"ok"})
    assert found["daemon"][1] == "does not run; start it with: syncd run"
    assert "syncd model pull Qwen" in found["model Qwen/Qwen3-Embedding-0.6B"][1]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("names", "said"), [((), "0 sources"), (("one",), "1 source"), (("one", "two"), "2 sources")])
def test_sources_that_are_valid_are_counted(doctor, tmp_path, names, said):
    tables = [
        f'[[sources]]\nname = "{name}"\ntype = "folder"\npath = "{tmp_path}"\ncollection = "{name}"\n' for name in names
    ]
    _, found = doctor("".join(tables))
    assert found["configuration"] == ("ok", f"valid, {said}")


def test_every_problem_is_said_with_what_to_do_next(doctor, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNCD_SYNC__DISK_RESERVE_BYTES", str(1 << 60))
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    (state / "syncd.sqlite").write_bytes(b"SQLite format 3\0" + 5000 * b"x")
    os.utime(state / "syncd.sqlite", (time.time() + 7200, time.time() + 7200))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("SYNCD_API__PORT", str(port))
        monkeypatch.setenv("SYNCD_CHROMA__MODE", "server")
        monkeypatch.setenv("SYNCD_CHROMA__PORT", "1")
        declared = f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{tmp_path}/nowhere"\ncollection = "notes"\n'
        status, found = doctor(declared)
    problems = {about: said for about, (mark, said) in found.items() if mark == "PROBLEM"}
    assert status == 1
    for about, advice in {
        "configuration": "source notes: ",
        "state folder": "chmod go=",
        "disk": "free some on the disk",
        "clock": "set the clock",
        "database": "run: syncd doctor --recover",
        "port": "another program listens there",
        "Chroma": "correct chroma.host and chroma.port",
    }.items():
        assert advice in problems.pop(about), about
    assert problems == {}


def test_a_state_folder_that_is_a_file_is_named(doctor, tmp_path):
    (tmp_path / "state").touch()
    status, found = doctor()
    assert (status, found["state folder"]) == (
        1,
        ("PROBLEM", f"{tmp_path}/state is no folder: set state_dir to one, or move it away"),
    )
    assert "set state_dir" in found["daemon"][1]


def test_a_daemon_that_holds_its_folder_and_does_not_answer_is_named(doctor, tmp_path):
    with state_folder(tmp_path / "state"):
        status, found = doctor()
    assert status == 1
    assert found["daemon"][1].startswith(f"process {os.getpid()} holds")


def test_what_a_running_daemon_says_of_its_parts_becomes_findings():
    found = diagnoses_of(
        {
            "version": "0.0.1",
            "chroma": {"away": "Chroma does not answer"},
            "models": [],
            "models_waiting": {"acme/own": "no file"},
            "problems": ["Chroma does not answer", "model acme/own: no file", "the disk is full"],
            "degraded": ["model acme/own: no cluster answers"],
            "queues": [{"queue_url": "https://one", "problem": ""}, {"queue_url": "https://two", "problem": "denied"}],
            "source_problems": [{"source_id": "1", "name": None, "problem": "no such branch"}],
            "actors": [{"name": "index", "restarts": 2}, {"name": "api", "restarts": 0}],
        }
    )
    assert [(each.about, each.problem) for each in found] == [
        ("daemon", f"it is syncd 0.0.1, installed is {__version__}: restart it (systemctl restart syncd)"),
        ("Chroma", "Chroma does not answer; work waits, and goes on by itself"),
        ("model acme/own", "no file"),
        ("daemon", "the disk is full"),
        ("daemon", "works, but model acme/own: no cluster answers"),
        ("queue https://one", ""),
        ("queue https://two", "denied"),
        ("source 1", "no such branch"),
        ("part index", "crashed and was run again 2 times; `syncd logs` says why (actor.crashed)"),
    ]
