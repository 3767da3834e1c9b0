"""What is forked is a program of its own: its arguments, its environment, its output and its end."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.forked import shared_forks


def started(folder: Path, *arguments: str, environment: dict[str, str] | None = None):
    with (folder / "output").open("wb") as output:
        return shared_forks().start(arguments, environment or {}, output.fileno())


def test_a_fork_runs_a_module_with_arguments_and_ends_with_its_status(tmp_path):
    (tmp_path / "good").write_text("[1]")
    (tmp_path / "bad").write_text("[1")
    assert started(tmp_path, "json.tool", "--compact", str(tmp_path / "good")).wait(60) == 0
    assert (tmp_path / "output").read_text() == "[1]\n"
    assert started(tmp_path, "json.tool", str(tmp_path / "bad")).wait(60) == 1


def test_a_fork_has_the_environment_that_it_is_given_and_no_other(tmp_path):
    shows = ("timeit", "-n1", "-r1", "import os; print(dict(os.environ))")
    assert started(tmp_path, *shows, environment={"ONE": "1"}).wait(60) == 0
    assert (tmp_path / "output").read_text().splitlines()[0] == "{'ONE': '1'}"


def test_a_fork_that_is_killed_says_so(tmp_path):
    forked = started(tmp_path, "http.server", "0")
    assert forked.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0)
    forked.send_signal(signal.SIGKILL)
    assert forked.wait(60) == -signal.SIGKILL
    forked.send_signal(signal.SIGKILL)


def test_what_a_fork_writes_and_what_it_complains_of_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").write_text("[1")
    done = shared_forks().run(["json.tool", "bad"], {}, 60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "line 1" in done.stderr
