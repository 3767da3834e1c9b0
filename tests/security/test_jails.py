"""What each process that is handed bytes could do to files of the daemon's user beside its own, tried from inside its own jail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.pipeline.embed.variant import RunSettings, Variant

_INSIDE = """
import json, os, runpy, socket, sys
from pathlib import Path
from syncd.runtime import jail

module, output, on_card, victims, own = sys.argv[1], int(sys.argv[2]), *map(json.loads, sys.argv[3:6])
confine = jail.confine

def tried(act, *arguments):
    try:
        act(*arguments)
    except OSError:
        return False
    return True

def there_and_back(victim, place):
    os.rename(victim, place)
    os.rename(place, victim)

def linked(victim, place):
    os.link(victim, place)
    os.unlink(place)

def served(place):
    socket.socket(socket.AF_UNIX).bind(place)
    os.unlink(place)

def found_out():
    for victim in victims:
        beside = f"{victim}.new"
        trials = {
            "read": lambda: open(victim).close(),
            "write": lambda: open(victim, "r+").close(),
            "append": lambda: open(victim, "a").close(),
            "empty": lambda: os.truncate(victim, 0),
            "chmod": lambda: os.chmod(victim, 0o640),
            "chown": lambda: os.chown(victim, os.getuid(), os.getgid()),
            "times": lambda: os.utime(victim, (0, 0)),
            "rename": lambda: there_and_back(victim, beside),
            "move here": lambda: there_and_back(victim, f"{own}/moved"),
            "link here": lambda: linked(victim, f"{own}/linked"),
            "file beside": lambda: (open(beside, "x").close(), os.unlink(beside)),
            "folder beside": lambda: (os.mkdir(beside), os.rmdir(beside)),
            "link beside": lambda: (os.symlink(victim, beside), os.unlink(beside)),
            "pipe beside": lambda: (os.mkfifo(beside), os.unlink(beside)),
            "socket beside": lambda: served(beside),
            "list": lambda: os.listdir(os.path.dirname(victim)),
            "remove": lambda: os.unlink(victim),
        }
        yield from (f"{act} {os.path.dirname(victim)}" for act, trial in trials.items() if tried(trial))

def confine_and_try(asked):
    lacks = confine(asked)
    report = {"lacks": lacks, "allowed": [*found_out()], "own": tried(Path(own, "made").touch)}
    os.write(output, json.dumps(report).encode())
    os._exit(0)

if module == "none":
    confine = lambda _: ""
    confine_and_try(None)
jail.confine = confine_and_try
if on_card:
    from syncd.pipeline import model_jail
    model_jail.uses_card = lambda *_: True
sys.argv[1:] = sys.argv[6:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Kind:
    """A process that is handed bytes; in its arguments {own} stands for its folder. `keeps_own`: whether it may write there."""

    module: str
    arguments: tuple[str, ...] = ()
    keeps_own: bool = False
    on_card: bool = False


def _model(runtime: str = "llama") -> str:
    settings = RunSettings(Path("{own}/model"), "mean", 256, Variant(runtime=runtime), device="cpu")
    return settings.to_json()


KINDS = {
    "parser, chunker, OCR": Kind("syncd.pipeline.prepare.worker", ("{own}", str(2 << 30)), keeps_own=True),
    "docling": Kind("syncd.pipeline.prepare.worker", ("{own}", str(8 << 30), "{own}/model"), keeps_own=True),
    "LibreOffice": Kind(
        "syncd.pipeline.parse.office",
        ("{own}", "60", "soffice.bin", "docx", "{own}/a.doc", "{own}/out"),
        keeps_own=True,
    ),
    "page reader": Kind("syncd.sources.web.page_worker"),
    "model": Kind("syncd.pipeline.embed.worker", (_model(),)),
    "model of PyTorch": Kind("syncd.pipeline.embed.worker", (_model("torch"),)),
    "model on a card": Kind("syncd.pipeline.embed.worker", (_model(),), on_card=True),
    "static model": Kind("syncd.pipeline.embed.static_worker", (_model(),)),
    "reranker": Kind("syncd.pipeline.rerank.worker", (_model(),)),
    "vision": Kind("syncd.pipeline.parse.vision_worker", ("{own}/model", "{own}/projector", "1")),
    "SPLADE": Kind("syncd.pipeline.sparse.splade_worker", ("{own}/model", "1")),
    "quantiser": Kind("syncd.pipeline.embed.quantise", ("{own}/model", "{own}/target", "Q8_0")),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_it_touches_no_file_of_the_daemons_user_beside_its_own(kind: Kind, tmp_path: Path) -> None:
    # Drivers of cards share memory in /dev/shm.
    report = _report(kind, tmp_path, ["/tmp", "/var/tmp", *([] if kind.on_card else ["/dev/shm"])])
    if report["lacks"]:
        pytest.skip("this kernel or container does not allow the whole jail")
    assert report["allowed"] == []
    assert report["own"] == kind.keeps_own


def test_without_a_jail_it_could_do_all_of_it(tmp_path: Path) -> None:
    report = _report(Kind("none"), tmp_path, ["/tmp"])
    assert len(report["allowed"]) == 2 * 17


def _report(kind: Kind, folder: Path, places: list[str]) -> dict:
    """Have a process of that kind try everything on a file in each of the places, and on one beside its own folder."""
    own = folder / "own"
    own.mkdir()
    (own / "model").touch()
    read, write = os.pipe()
    with ExitStack() as stack, os.fdopen(read) as answers:
        victims = [tempfile.mkstemp(prefix="syncd-victim-", dir=place) for place in [*places, str(folder)]]
        for handle, path in victims:
            stack.callback(Path(path).unlink, missing_ok=True)
            stack.callback(os.close, handle)
        told = (str(write), json.dumps(kind.on_card), json.dumps([path for _, path in victims]), json.dumps(str(own)))
        arguments = [argument.replace("{own}", str(own)) for argument in kind.arguments]
        command = [sys.executable, "-c", _INSIDE, kind.module, *told, *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, pass_fds=[write], cwd=folder)
        os.close(write)
        answer = answers.read()
    assert answer, ran.stderr
    return json.loads(answer)
