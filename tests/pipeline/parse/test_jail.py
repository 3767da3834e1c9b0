"""What a jailed process can no longer do, tried from inside one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.pipeline.parse.seccomp import Allowance, program

_TRIALS = """
import json, os, signal, socket, sys, threading
from pathlib import Path
from syncd.pipeline.parse.jail import JailLimits, confine
from syncd.pipeline.parse.seccomp import Allowance

secret, scratch = sys.argv[1], Path(sys.argv[2])
held = confine(scratch, JailLimits(1 << 30, 1 << 20, 64), Allowance[sys.argv[3]])

def tried(act):
    try:
        act()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "allowed"

def thread():
    started = threading.Thread(target=int)
    started.start()
    started.join()

trials = {
    "read elsewhere": lambda: open(secret).read(),
    "write elsewhere": lambda: open(secret + ".new", "w"),
    "environment of init": lambda: open("/proc/1/environ").read(),
    "internet": lambda: socket.socket(socket.AF_INET),
    "datagrams": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "fork": lambda: os._exit(0) if os.fork() == 0 else None,
    "signal to parent": lambda: os.kill(os.getppid(), 0),
    "memory": lambda: bytearray(2 << 30),
    "mode elsewhere": lambda: os.chmod(secret, 0o777),
    "time elsewhere": lambda: os.utime(secret, (0, 0)),
    "attribute elsewhere": lambda: os.setxattr(secret, "user.a", b"x"),
    "owner here": lambda: os.chown(scratch, 1, 1),
    "write here": lambda: (scratch / "a").write_text("x"),
    "large file": lambda: (scratch / "b").write_bytes(bytes(2 << 20)),
    "thread": thread,
    "local pair": lambda: socket.socketpair(),
    "libraries": lambda: __import__("html.parser"),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(json.dumps({"missing": held.missing, **{name: tried(act) for name, act in trials.items()}}))
"""


def _try(allowance: Allowance, folder: Path) -> dict[str, str]:
    secret, scratch = folder / "secret", folder / "scratch"
    secret.write_text("token")
    scratch.mkdir()
    command = [sys.executable, "-c", _TRIALS, str(secret), str(scratch), allowance.name]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, str] = json.loads(ran.stdout)
    if found.pop("missing"):
        pytest.skip("this kernel or container does not allow the whole jail")
    return found


def test_a_parser_can_compute_and_use_its_scratch_folder_and_nothing_else(tmp_path: Path) -> None:
    found = _try(Allowance.PARSER, tmp_path)
    allowed = {name for name, outcome in found.items() if outcome == "allowed"}
    assert allowed == {"write here", "thread", "local pair", "libraries"}
    assert found["read elsewhere"] == found["internet"] == found["program"] == "PermissionError"
    assert found["memory"] == "MemoryError"


def test_an_office_suite_may_start_programs_but_not_reach_files_or_the_network(tmp_path: Path) -> None:
    found = _try(Allowance.OFFICE, tmp_path)
    allowed = {name for name, outcome in found.items() if outcome == "allowed"}
    assert {"program", "fork", "thread", "write here"} <= allowed
    assert not allowed & {"read elsewhere", "write elsewhere", "environment of init", "signal to parent"}
    assert not allowed & {"internet", "datagrams", "memory", "large file"}


def test_a_processor_without_a_filter_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.pipeline.parse.seccomp._ARCHITECTURES", {})
    assert program(Allowance.PARSER, 1) is None
