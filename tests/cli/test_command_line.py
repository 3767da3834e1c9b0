"""Which commands there are, and what somebody who misspells one is told."""

import os
import re
import subprocess
import sys

import pytest

from syncd.cli import parser
from syncd.cli.commands import COMMANDS

LOOK = "import sys; from syncd.cli import main\ntry: main(sys.argv[1:])\nfinally: print([m for m in sys.modules if m in {unwanted!r}])"


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "syncd", *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_is_added_by_its_module(name, capsys):
    with pytest.raises(SystemExit) as ended:
        parser([name]).parse_args([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: syncd {name}" in capsys.readouterr().out


def test_help_names_every_command_and_loads_none():
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(unwanted=("aiohttp", "numpy", "pydantic", "rich", "anyio")), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr
    for name in COMMANDS:
        assert re.search(rf"^\s+{name}\s", done.stdout, re.MULTILINE), name


def test_a_misspelt_command_is_told_the_likely_one():
    done = run("statsu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "syncd: there is no command 'statsu'; did you mean `syncd status`?\n"
    assert "`syncd --help` lists them" in run("xyzzy").stderr


def test_a_reader_that_has_enough_is_no_accident():
    listing = [sys.executable, "-m", "syncd", "model", "list", "--json"]
    with subprocess.Popen(listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == ("", 141)


def test_what_an_encoding_lacks_is_shown_by_its_number():
    printing = [sys.executable, "-m", "syncd", "config", "template"]
    latin = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(printing, capture_output=True, text=True, timeout=60, env=latin)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"SYNCD_CHROMA__API_KEY=\u2026" in done.stdout


def test_ctrl_c_before_the_command_has_begun_prints_no_traceback():
    program = "import syncd.cli, syncd.__main__ as main\ndef begun(): raise KeyboardInterrupt\nsyncd.cli.main = begun\nmain.main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")
