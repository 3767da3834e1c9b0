import json
import os
import shlex
import shutil
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from syncd.cli import main
from syncd.cli.commands import COMMANDS
from syncd.cli.completion import SHELLS

COMPLETE = """
source {script}
completions() {{
    COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
    $(complete -p syncd | sed 's/.*-F \\([^ ]*\\).*/\\1/') syncd "${{COMP_WORDS[COMP_CWORD]}}"
    echo "${{COMPREPLY[@]}}"
}}
"""


@pytest.fixture
def scripts(capsys, tmp_path):
    """The script of each shell, in a file."""
    for shell in SHELLS:
        with pytest.raises(SystemExit) as ended:
            main(["completion", shell])
        assert ended.value.code == 0
        (tmp_path / f"syncd.{shell}").write_text(capsys.readouterr().out)
    return tmp_path


def completed(scripts: Path, *lines: str, **environment: str) -> list[list[str]]:
    """What bash offers for the last word of each line."""
    calls = "\n".join(f"completions {line}" for line in lines)
    program = COMPLETE.format(script=shlex.quote(str(scripts / "syncd.bash"))) + calls
    done = subprocess.run(
        ["bash", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        cwd=scripts,
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_completes_commands_actions_options_and_their_values(scripts):
    assert completed(scripts, "syncd sta", "syncd sources rem", "syncd search --mod", "syncd search --mode re") == [
        ["status"], ["remove"], ["--mode", "--modified-after"], ["regex"],
    ]  # fmt: skip


def test_every_command_is_in_every_script_and_shells_understand_theirs(scripts):
    for shell in SHELLS:
        text = (scripts / f"syncd.{shell}").read_text()
        assert [name for name in COMMANDS if name not in text] == []
        if shutil.which(shell):
            subprocess.run([shell, "-n", scripts / f"syncd.{shell}"], check=True, timeout=60)


def test_names_are_those_of_the_daemon_and_none_is_run_as_a_command(scripts):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            names = ["notes", "$(touch run)", "`touch run`", "https://x.example/docs"]
            items = [{"name": name} for name in names] if self.path.startswith("/api/v1/sources") else []
            self.send_response(200 if self.headers["x-chroma-token"] == "secret" else 401)
            self.end_headers()
            self.wfile.write(json.dumps(items).encode())

        def address_string(self):
            return "socket"

    (scripts / "token").write_text("secret\n")
    with socketserver.ThreadingUnixStreamServer(str(scripts / "api.sock"), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            found = completed(scripts, 'syncd sync ""', "syncd search --collection x", SYNCD_STATE_DIR=str(scripts))
        finally:
            server.shutdown()
    assert found == [["notes", "https://x.example/docs"], []]
    assert not (scripts / "run").exists()


def test_without_a_daemon_no_names_are_offered_and_nothing_is_complained_of(tmp_path):
    asking = [sys.executable, "-m", "syncd.cli.known_names", "source"]
    done = subprocess.run(
        asking, capture_output=True, text=True, timeout=60, env={**os.environ, "SYNCD_STATE_DIR": str(tmp_path)}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
