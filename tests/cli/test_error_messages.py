"""What people read when something is wrong: `error_messages.md` has it all, as the program says it, for a person to judge.

Every message is one line that says what happened and what to do next. Where one changes on purpose, the failing test names a file with the
new table, to be read and copied.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from syncd.cli import main
from tests.app.test_daemon import configuration, until
from tests.daemon import Daemon
from tests.serving import serve

Tell = Callable[[str, Sequence[str]], "Told"]
TABLE = Path(__file__).with_name("error_messages.md")

COMMAND_LINES = """
statsu
xyzzy
search
search kites --collection notes --mode regexx
search kites --colection notes
search kites --collection notes --where '{key: a.md}'
search kites --collection notes --expand file
sources ad
completion tcsh
service install --root nowhere
service install --root . --program /root/syncd
logs
status
status --url localhost:8787
status --url http://127.0.0.1:1
status --url http://localhost:99999
status --config nowhere.toml
status --config not.toml
config check .
config check empty.toml more.toml
model pull sentence-transformers/all-MiniLM-L6
model pull Qwen/Qwen3-Embedding-0.6B --quantisation Q3
model add acme/own nowhere.gguf
model add acme/own not.toml
export not.toml
import nowhere
import not.toml
eval notes --queries nowhere.json
quickstart nowhere
"""
"""On a machine where nothing runs, in a folder with an empty file and one that is nothing but text."""

SOURCE = 'name = "notes", type = "folder", path = "DIR", collection = "notes"'
DECLARATIONS = (
    "[api]\nprt = 1",
    "[apis]\nport = 1",
    "[api]\nport = 70000",
    '[api]\nport = "eighty"',
    '[chroma]\nmode = "sever"',
    '[chroma]\nmode = "server"',
    '[chroma]\nmode = "cloud"',
    '[chroma]\nhost = "10.0.0.3"',
    '[embedding]\ndefault_model = "sentence-transformers/all-MiniLM-L6"',
    '[embedding]\nqueries = "ollama"\n[api]\nhost = "0.0.0.0"',
    '[[embedding.servers]]\nurl = "http://127.0.0.1:1/v1"\napi_key_env = "NOT_SET"',
    '[[models]]\nname = "acme/own"',
    f"sources = [{{{SOURCE}}}, {{{SOURCE}}}]",
    f"sources = [{{{SOURCE}, colection = 'a'}}]",
    f"sources = [{{{SOURCE.replace('folder', 'foldr')}}}]",
    f"sources = [{{{SOURCE.replace('DIR', 'DIR/nowhere')}}}]",
    f"sources = [{{{SOURCE}, dimensions = 7}}]",
    'sources = [{name = "docs", type = "web_scrape", starting_url = "docs.example.com", collection = "docs"}]',
    'sources = [{name = "code", type = "github", repository = "chroma", collection = "code"}]',
    'sources = [{name = "code", type = "git", url = "https://git.example.com/a.git", token_file = "nowhere", collection = "code"}]',
    'sources = [{name = "bucket", type = "s3", bucket_name = "acme", collection = "acme"}]',
)

ASKED = """
search kites --collection note
search kites --collection notes --database elsewhere
search '(kites' --collection notes --mode regex
search kites --collection notes --source note
search kites --collection notes --max-tokens 1
search kites --collection notes --modified-after yesterday
read kites.md --collection notes
read kite.md --collection notes --lines x
related nothing-0 --collection notes
explain nothing-0
documents list note
verify note
rebuild note
rollback notes
shadow notes --switch
sync note
status 00000000-0000-0000-0000-000000000000
cancel notes
retry notes
confirm-deletes notes
plan docs
sources show note
sources add folder DIR/nowhere
sources add folder DIR/notes --model sentence-transformers/all-MiniLM
sources add github chroma
sources add web ftp://docs.example.com/
sources edit notes '{"include_glob": []}'
sources edit notes '{'
token revoke nobody
credentials delete nobody
"""
"""Of a running daemon with a source `notes` that keeps the collection `notes` with one document, `kite.md`."""


@dataclass(frozen=True)
class Told:
    """What was done, and what the program said."""

    done: str
    status: int
    message: str

    def row(self) -> str:
        return " | ".join(("", self.done, str(self.status), self.message.replace("|", r"\|"), "")).strip()


@pytest.fixture(scope="module")
def daemon(minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "notes").mkdir()
    (folder / "notes" / "kite.md").write_text("# Kites\n\nA kite flies higher in the evening.\n")
    declared = f'[[sources]]\nname = "notes"\ntype = "folder"\npath = "{folder}/notes"\ncollection = "notes"\n'
    running = Daemon(folder, configuration(minilm_folder, declared)).start()
    until(lambda: running.rows("SELECT 1 FROM documents WHERE state = 'indexed'") and running.unsettled() == 0)
    yield running
    assert running.stop() == 0


@pytest.fixture
def told(daemon, tmp_path, monkeypatch, capsys):
    """Everything that can be told, as the table has it."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in [name for name in os.environ if name.startswith("SYNCD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (work / "empty.toml").touch()
    (work / "not.toml").write_text("nothing but text\n")

    def tell(done: str, arguments: Sequence[str]) -> Told:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return Told(plain(done), ended.value.code, plain(capsys.readouterr().err.strip()))

    def plain(text: str) -> str:
        text = text.replace(str(daemon.folder), "DIR").replace(str(tmp_path), "DIR")
        text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID", text)
        text = re.sub(r"127\.0\.0\.1:\d{4,}", "127.0.0.1:PORT", text)
        # Python quotes choices before 3.12 only.
        return re.sub(r"\(choose from [^)]*\)", lambda choices: choices[0].replace("'", ""), text)

    return [
        *of_command_lines(tell),
        *of_declarations(tell, work),
        *of_a_daemon(tell, daemon),
        *of_starts(plain, work, daemon),
    ]


def of_command_lines(tell: Tell) -> Iterator[Told]:
    for line in COMMAND_LINES.strip().splitlines():
        yield tell(f"`syncd {line}`", shlex.split(line))

    async def other(request: web.Request) -> web.Response:
        return web.Response(text="<html>It works!</html>")

    with serve(other) as url:
        yield tell("`syncd status --url` of another server", ["status", "--url", url])


def of_declarations(tell: Tell, work: Path) -> Iterator[Told]:
    for text in DECLARATIONS:
        (work / "syncd.toml").write_text(text.replace("DIR", str(work)))
        shown = text.replace("\n", " ")
        yield tell(f"`{shown}`", ["config", "check", "syncd.toml"])


def of_a_daemon(tell: Tell, daemon: Daemon) -> Iterator[Told]:
    chosen = ["--config", str(daemon.folder / "syncd.toml")]
    for line in ASKED.strip().splitlines():
        asked = line.replace("DIR", str(daemon.folder))
        yield tell(f"`syncd {line}`", [*shlex.split(asked), *chosen])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SYNCD_TOKEN", "wrong")
        yield tell("`SYNCD_TOKEN=wrong syncd status`", ["status", *chosen])


def of_starts(plain: Callable[[str], str], work: Path, daemon: Daemon) -> Iterator[Told]:
    """What a daemon says that cannot start, in a process of its own."""
    url = daemon.announced()["url"]
    starts = {
        "the port is taken": f"[api]\nport = {url.rpartition(':')[2]}",
        "another daemon has the state folder": f'state_dir = "{daemon.state}"\n[api]\nport = 0',
        "the state folder is a file": f'state_dir = "{work}/not.toml"\n[api]\nport = 0',
        "the model is unknown": '[embedding]\ndefault_model = "acme/own"',
        "the database is damaged": f'state_dir = "{work}/damaged"\n[api]\nport = 0',
    }
    (work / "damaged").mkdir()
    (work / "damaged" / "syncd.sqlite").write_bytes(b"SQLite format 3\0" + 5000 * b"x")
    for done, text in starts.items():
        (work / "syncd.toml").write_text(text + "\n")
        command = [sys.executable, "-m", "syncd", "run", "--config", "syncd.toml"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
        (line,) = (line for line in ended.stderr.splitlines() if line.startswith("syncd"))
        yield Told(f"`syncd run`, {done}", ended.returncode, re.sub(r"process \d+", "process PID", plain(line)))


def test_every_error_is_told_in_one_line_as_the_table_says(told, tmp_path):
    head = TABLE.read_text().partition("| done |")[0]
    now = f"{head}| done | status | said |\n|---|---|---|\n" + "\n".join(each.row() for each in told) + "\n"
    (tmp_path / "error_messages.md").write_text(now)
    assert [each for each in told if not each.status or not re.fullmatch("syncd[a-z -]*: .*", each.message)] == []
    assert len(told) >= 50
    assert now == TABLE.read_text(), f"if what is new is as good: cp {tmp_path / 'error_messages.md'} {TABLE}"
