"""What a model's process can no longer do, and that no process of ours that is handed bytes is without a jail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.pipeline import model_jail
from syncd.runtime.jail import Jail
from syncd.runtime.seccomp import Allowance
from syncd.runtime.worker import Worker
from syncd.sources.web.page_workers import PAGE_WORKER_MODULE

PACKAGE = Path(model_jail.__file__).parents[1]

TRIALS = """
import json, os, socket, sys
from pathlib import Path
from syncd.pipeline.model_jail import confine_model

model = Path(sys.argv[1])
lacks = confine_model([model], on_card=False)

def tried(act):
    try:
        act()
    except OSError as error:
        return "refused"
    return "allowed"

print(json.dumps({"lacks": lacks} | {name: tried(act) for name, act in {
    "its file": model.read_bytes,
    "changing it": lambda: model.open("ab"),
    "the file beside it": (model.parent / "other").read_bytes,
    "a new file": lambda: (model.parent / "new").touch(),
    "the network": socket.socket,
    "a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
}.items()}))
"""


def test_a_models_process_reads_its_own_file_and_changes_none(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    (tmp_path / "other").write_bytes(b"another tenant's")
    command = [sys.executable, "-c", TRIALS, str(tmp_path / "model")]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    if found.pop("lacks"):
        pytest.skip("this kernel or container does not allow the whole jail")
    assert {name for name, outcome in found.items() if outcome == "allowed"} == {"its file"}


COMPILING = """
import ctypes, json, os, socket, subprocess, sys, tempfile
from pathlib import Path
from syncd.pipeline import model_jail

model = Path(sys.argv[1])
model_jail.cards = lambda: []
listening = socket.create_server(("127.0.0.1", 0))
lacks = model_jail.confine_model([model], "torch", on_card=True)

def compiled():
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        source.write_text("int answer(void) { return 42; }")
        subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True, capture_output=True)
        return ctypes.CDLL(str(library)).answer() == 42

def made_program():
    program = Path(tempfile.gettempdir(), "made")
    with open(program, "wb", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
        file.write(Path("/bin/true").read_bytes())
    return program

def tried(act):
    try:
        act()
    except (OSError, subprocess.SubprocessError):
        return "refused"
    return "allowed"

def shown(file):
    subprocess.run(["cat", file], check=True, capture_output=True)

print(json.dumps({"lacks": lacks, "answers": compiled()} | {name: tried(act) for name, act in {
    "its file": model.read_bytes,
    "its file, by a program": lambda: shown(model),
    "changing it": lambda: model.open("ab"),
    "the file beside it": (model.parent / "other").read_bytes,
    "the file beside it, by a program": lambda: shown(model.parent / "other"),
    "a new file": lambda: (model.parent / "new").touch(),
    "a file in the shared temporary folder": lambda: Path("/tmp/of-a-jailed-model").touch(),
    "a program of its own making": lambda: subprocess.run([made_program()], check=True),
    "the network": lambda: socket.create_connection(listening.getsockname()),
}.items()}))
"""


def test_what_compiles_on_a_card_starts_programs_and_reads_and_writes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    (tmp_path / "other").write_bytes(b"another tenant's")
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-c", COMPILING, str(tmp_path / "model")]
    env = {**os.environ, "HOME": str(home)}
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60, env=env).stdout)
    if found.pop("lacks"):
        pytest.skip("this kernel or container does not allow the whole jail")
    assert found.pop("answers")
    assert {name for name, outcome in found.items() if outcome == "allowed"} == {"its file", "its file, by a program"}


@pytest.mark.parametrize(
    ("runtime", "on_card", "allowance"),
    [
        ("llama", False, Allowance.COMPUTE),
        ("llama", True, Allowance.DEVICES),
        ("torch", False, Allowance.DEVICES),
        ("torch", True, Allowance.PROGRAMS),
    ],
)
def test_on_a_card_a_model_drives_the_card_and_what_compiles_may_start_programs(
    runtime: str, on_card: bool, allowance: Allowance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Jail] = []
    monkeypatch.setattr(model_jail, "cards", lambda: ["/dev/nvidia0", "/dev/nvidiactl"])
    monkeypatch.setattr(model_jail, "confine", lambda jail: asked.append(jail) or "")
    model_jail.confine_model([Path("/m.gguf")], runtime, on_card=on_card)
    (jail,) = asked
    assert jail.allowance is allowance
    assert jail.limits.file_bytes == (None if jail.writable else 0)
    assert ("/dev/nvidia0" in jail.devices) == on_card
    assert "/m.gguf" in jail.readable
    assert "/" not in jail.writable


def test_no_driver_is_started_for_a_processor_or_without_a_card_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_jail, "cards", lambda: ["/dev/nvidia0"])
    assert not model_jail.uses_card("cpu")
    assert model_jail.uses_card("auto", "torch")
    for found in (["/dev/dri"], []):
        monkeypatch.setattr(model_jail, "cards", lambda found=found: found)
        assert not model_jail.uses_card("auto")
        assert not model_jail.uses_card("auto", "torch")


def test_every_process_that_is_handed_bytes_puts_itself_into_a_jail() -> None:
    programs = [path for path in PACKAGE.rglob("*.py") if "= open_channel()" in path.read_text()]
    # The driver of a Ray cluster passes texts on, and has to reach the cluster.
    workers = [path for path in programs if path.parent.name not in ("runtime", "ray")]
    assert len(workers) >= 5
    assert [path.name for path in workers if "confine" not in path.read_text()] == []


async def test_the_page_reader_has_a_filter_no_powers_and_no_way_back() -> None:
    async with Worker("page-reader", PAGE_WORKER_MODULE) as reader:
        lines = Path("/proc", str(reader.pid), "status").read_text().splitlines()
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert "jail_lacks" in reader.hello
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert int(status["CapEff"], 16) & ~(1 << 2) == 0
