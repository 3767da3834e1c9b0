import signal
import subprocess
import sys

import pytest

from syncd.cli import main
from syncd.runtime.state import LOG_FILE


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state folder on which no daemon runs."""
    monkeypatch.setenv("SYNCD_STATE_DIR", str(tmp_path))
    return tmp_path


def logs(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["logs", *arguments])
    return ended.value.code


def test_the_latest_lines_are_printed_in_their_order(state, capsys):
    (state / LOG_FILE).write_text("first\nsecond\nthird\n")
    assert logs("--lines", "2") == 0
    assert capsys.readouterr().out == "second\nthird\n"


def test_without_a_daemon_a_source_is_what_lines_call_it(state, capsys):
    (state / LOG_FILE).write_text("run source=notes\nrun source=notes-old\n" + 300 * "x\n")
    assert logs("--lines", "5", "--source", "notes") == 0
    assert capsys.readouterr().out == "run source=notes\n"


def test_where_no_log_is_kept_it_says_how_to_keep_one(state, capsys):
    assert logs() == 1
    told = capsys.readouterr().err
    assert f"`syncd run 2>> {state / LOG_FILE}` keeps it" in told
    assert told.count("\n") == 1


def test_what_is_logged_later_follows_until_ctrl_c(state):
    (state / LOG_FILE).write_text("first\n")
    following = subprocess.Popen([sys.executable, "-m", "syncd", "logs", "--follow"], stdout=subprocess.PIPE, text=True)
    assert following.stdout.readline() == "first\n"
    with (state / LOG_FILE).open("a") as log:
        log.write("second\n")
    assert following.stdout.readline() == "second\n"
    following.send_signal(signal.SIGINT)
    assert following.wait(60) == 130
    following.stdout.close()
