"""What a jailed process can no longer do, tried from inside one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.runtime.seccomp import Allowance, program
from syncd.runtime.system_calls import CALL_NUMBERS
from tests.systemd import syscalls

_TRIALS = """
import ctypes, fcntl, json, os, signal, socket, sys, threading
from pathlib import Path
from syncd.runtime.jail import Jail, JailLimits, confine
from syncd.runtime.seccomp import Allowance

secret, scratch, listening = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
lacks = confine(Jail(Allowance[sys.argv[4]], JailLimits(1 << 30, 1 << 20, 64), writable=[str(scratch)]))
libc = ctypes.CDLL(None, use_errno=True)

def tried(act):
    try:
        act()
    except FileNotFoundError:
        pass
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "allowed"

def thread():
    started = threading.Thread(target=int)
    started.start()
    started.join()

def called(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def datagram():
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendto(b"x", listening + ".datagrams")

def stream():
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(listening)

def pair():
    ours, theirs = socket.socketpair()
    ours.send(b"x")
    theirs.recv(1)

trials = {
    "read elsewhere": lambda: open(secret).read(),
    "write elsewhere": lambda: open(secret + ".new", "w"),
    "empty elsewhere": lambda: os.truncate(secret, 0),
    "environment of init": lambda: open("/proc/1/environ").read(),
    "internet": lambda: socket.socket(socket.AF_INET),
    "datagrams": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "another's socket": stream,
    "another's socket of datagrams": datagram,
    "program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "become a program": lambda: os.execv("/bin/nowhere", ["nowhere"]),
    "local server": lambda: socket.socket(socket.AF_UNIX).bind(str(scratch / "served")),
    "fork": lambda: os._exit(0) if os.fork() == 0 else None,
    "signal to parent": lambda: os.kill(os.getppid(), 0),
    "signal by a file": lambda: fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid()),
    "memory": lambda: bytearray(2 << 30),
    "memory of no process": lambda: os.memfd_create("a"),
    "kernel's rings": lambda: called("syscall", 425, 1, None),
    "shared segment": lambda: called("shmget", 0, 4096, 0o600),
    "mode elsewhere": lambda: os.chmod(secret, 0o777),
    "time elsewhere": lambda: os.utime(secret, (0, 0)),
    "attribute elsewhere": lambda: os.setxattr(secret, "user.a", b"x"),
    "owner here": lambda: os.chown(scratch, 1, 1),
    "write here": lambda: (scratch / "a").write_text("x"),
    "large file": lambda: (scratch / "b").write_bytes(bytes(2 << 20)),
    "thread": thread,
    "local pair": pair,
    "libraries": lambda: __import__("html.parser"),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(json.dumps({"lacks": lacks, **{name: tried(act) for name, act in trials.items()}}))
"""


def _try(allowance: Allowance, folder: Path) -> dict[str, str]:
    secret, scratch, listening = folder / "secret", folder / "scratch", folder / "s"
    secret.write_text("token")
    scratch.mkdir()
    with socket.socket(socket.AF_UNIX) as streams, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        streams.bind(str(listening))
        streams.listen()
        datagrams.bind(f"{listening}.datagrams")
        command = [sys.executable, "-c", _TRIALS, str(secret), str(scratch), str(listening), allowance.name]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, str] = json.loads(ran.stdout)
    if found.pop("lacks"):
        pytest.skip("this kernel or container does not allow the whole jail")
    return found


def test_a_parser_can_compute_and_use_its_scratch_folder_and_nothing_else(tmp_path: Path) -> None:
    found = _try(Allowance.COMPUTE, tmp_path)
    allowed = {name for name, outcome in found.items() if outcome == "allowed"}
    assert allowed == {"write here", "thread", "local pair", "libraries"}
    assert found["read elsewhere"] == found["internet"] == found["program"] == "PermissionError"
    assert found["memory"] == "MemoryError"


def test_a_driver_may_also_call_what_nobody_has_listed_but_start_nothing_and_reach_nobody(tmp_path: Path) -> None:
    found = _try(Allowance.DEVICES, tmp_path)
    allowed = {name for name, outcome in found.items() if outcome == "allowed"}
    unlisted = {"memory of no process", "shared segment"}
    assert allowed == {"local server", "write here", "thread", "local pair", "libraries", *unlisted}


def test_an_office_suite_may_become_a_program_but_start_none_beside_itself(tmp_path: Path) -> None:
    found = _try(Allowance.OFFICE, tmp_path)
    allowed = {name for name, outcome in found.items() if outcome == "allowed"}
    unlisted = {"memory of no process", "shared segment"}
    assert allowed == {"become a program", "local server", "write here", "thread", "local pair", "libraries", *unlisted}


def test_what_compiles_may_start_programs_but_not_reach_files_or_the_network(tmp_path: Path) -> None:
    found = _try(Allowance.PROGRAMS, tmp_path)
    allowed = {name for name, outcome in found.items() if outcome == "allowed"}
    assert {"program", "fork", "thread", "write here"} <= allowed
    assert not allowed & {"read elsewhere", "write elsewhere", "environment of init", "signal to parent"}
    assert not allowed & {"internet", "datagrams", "another's socket", "another's socket of datagrams"}
    assert not allowed & {"memory", "large file", "kernel's rings"}


def test_a_processor_without_a_filter_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "vax")))
    assert program(Allowance.COMPUTE, 1) is None


@pytest.mark.parametrize("machine", CALL_NUMBERS)
def test_calls_have_the_numbers_that_systemd_knows_them_by(machine: str) -> None:
    known = {name: int(number) for name, number in (each.split("=") for each in syscalls.NUMBERS[machine].split())}
    assert {name: CALL_NUMBERS[machine][name] for name in known.keys() & CALL_NUMBERS[machine].keys()} == {
        name: known[name] for name in known.keys() & CALL_NUMBERS[machine].keys()
    }


def test_the_machines_jail_is_whole_or_says_what_is_missing() -> None:
    said = subprocess.run([sys.executable, "-m", "syncd.runtime.jail"], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    assert said.stdout.strip() == "" or "Landlock" in said.stdout or "seccomp" in said.stdout
