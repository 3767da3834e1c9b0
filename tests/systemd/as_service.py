"""Becomes `python -m PROGRAM...` under the limits of systemd/syncd.service that a process can put upon itself:

    python -m tests.systemd.as_service PROGRAM ARGUMENT...

That is the filters of system calls, as systemd itself would make them, its resource limits, its umask and an environment
with nothing in it but what a service gets. Mounts and users of its own (ProtectSystem=, DynamicUser=, …) are not among it.
"""

import ctypes
import errno
import os
import resource
import socket
import struct
import sys
from pathlib import Path

from tests.systemd.syscalls import GROUPS, NUMBERS

UNIT = Path(__file__).parents[2] / "systemd" / "syncd.service"
KEPT = ("HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR")
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

LOAD, AND, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
WRITE, EXECUTE, SHARED_EXECUTE = 2, 4, 0o100000
KINDS = {
    "cgroup": 0x02000000, "ipc": 0x08000000, "mnt": 0x00020000, "net": 0x40000000, "pid": 0x20000000,
    "time": 0x00000080, "user": 0x10000000, "uts": 0x04000000,
}  # fmt: skip
NAMESPACES = sum(KINDS.values())
SET_IDS = 0o6000

Instruction = tuple[int, int, int, int]


def service() -> dict[str, list[str]]:
    """Return the unit's [Service] settings, each with all its values in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def members(name: str) -> set[str]:
    """Return the calls that a name stands for."""
    if not name.startswith("@"):
        return {name}
    return set().union(*(members(each) for each in GROUPS[name].split()))


def allowed(lines: list[str]) -> set[str]:
    """Return what the SystemCallFilter= lines allow: the first is a list of what is, later ones add and take away."""
    assert not lines[0].startswith("~")
    calls = members("@default")
    for line in lines:
        named = set().union(*(members(name) for name in line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def numbers() -> dict[str, int]:
    """Return this machine's numbers of system calls."""
    pairs = (pair.split("=") for pair in NUMBERS[os.uname().machine].split())
    return {name: int(number) for name, number in pairs}


def only(calls: set[str]) -> list[Instruction]:
    """Return a filter that refuses all but these."""
    known = numbers()
    code: list[Instruction] = [
        (LOAD, 0, 0, 4), (JUMP_EQUAL, 1, 0, AUDIT_ARCH[os.uname().machine]), (RETURN, 0, 0, ERRNO | errno.EPERM),
        (LOAD, 0, 0, 0), (JUMP_AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, ERRNO | errno.EPERM),
    ]  # fmt: skip
    for number in sorted(known[name] for name in calls if name in known):
        code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    return [*code, (RETURN, 0, 0, ERRNO | errno.EPERM)]


def refuse(call: str, argument: int, mask: int, values: tuple[int, ...], error: int, *, unless: bool = False):
    """Return a filter that refuses `call` where the masked argument is (`unless`: is not) one of the values."""
    if call not in numbers():
        return []
    hit, miss = (RETURN, 0, 0, ERRNO | error), (RETURN, 0, 0, ALLOW)
    if unless:
        hit, miss = miss, hit
    code = [(LOAD, 0, 0, 0), (JUMP_EQUAL, 1, 0, numbers()[call]), (RETURN, 0, 0, ALLOW)]
    code += [(LOAD, 0, 0, 16 + 8 * argument), (AND, 0, 0, mask)]
    for value in values:
        code += [(JUMP_EQUAL, 0, 1, value), hit]
    return [*code, miss]


def filters() -> list[list[Instruction]]:
    """Return what the unit's settings come to."""
    given = service()
    assert given["SystemCallErrorNumber"] == ["EPERM"]
    for yes in (
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
        "RestrictSUIDSGID",
        "LockPersonality",
    ):
        assert given[yes] == ["yes"], f"{yes}: teach tests/systemd/as_service.py what the unit says now"
    families = tuple(int(getattr(socket, name)) for name in given["RestrictAddressFamilies"][0].split())
    either = 0xFFFFFFFF
    refused = NAMESPACES & ~sum(KINDS[name] for name in given["RestrictNamespaces"][0].split())
    made = [
        only(allowed(given["SystemCallFilter"])),
        refuse("socket", 0, either, families, errno.EAFNOSUPPORT, unless=True),
        refuse("mmap", 2, WRITE | EXECUTE, (WRITE | EXECUTE,), errno.EPERM),
        refuse("mprotect", 2, EXECUTE, (EXECUTE,), errno.EPERM),
        refuse("pkey_mprotect", 2, EXECUTE, (EXECUTE,), errno.EPERM),
        refuse("shmat", 2, SHARED_EXECUTE, (SHARED_EXECUTE,), errno.EPERM),
        refuse("unshare", 0, refused, (0,), errno.EPERM, unless=True),
        refuse("setns", 1, either, (0,), errno.EPERM),
        refuse("setns", 1, refused, (0,), errno.EPERM, unless=True),
        refuse("clone", 0, refused, (0,), errno.EPERM, unless=True),
        refuse("clone3", 0, 0, (0,), errno.ENOSYS),
        refuse("openat2", 0, 0, (0,), errno.ENOSYS),
        refuse("personality", 0, either, (0, either), errno.EPERM, unless=True),
        refuse("chmod", 1, SET_IDS, (0,), errno.EPERM, unless=True),
        refuse("fchmod", 1, SET_IDS, (0,), errno.EPERM, unless=True),
        refuse("fchmodat", 2, SET_IDS, (0,), errno.EPERM, unless=True),
    ]
    return [code for code in made if code]


def confine() -> None:
    """Put this process under the unit's limits, for good."""
    given = service()
    for name in ("CORE", "NOFILE"):
        kind, limit = getattr(resource, f"RLIMIT_{name}"), int(given[f"Limit{name}"][0])
        if (most := resource.getrlimit(kind)[1]) != resource.RLIM_INFINITY:
            limit = min(limit, most)
        resource.setrlimit(kind, (limit, limit))
    os.umask(int(given["UMask"][0], 8))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0, "no_new_privs"
    # The list of allowed calls comes last: it refuses nothing that installing needs, but who knows what it will.
    for code in reversed(filters()):
        program = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
        buffer = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("@HP", len(code), ctypes.addressof(buffer))
        assert libc.prctl(22, 2, header, 0, 0) == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    confine()
    os.execve(sys.executable, [sys.executable, "-m", *sys.argv[1:]], environment)
