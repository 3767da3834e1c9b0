"""Sandboxes a process that touches untrusted bytes: it may only compute, read what it needs and write where it must.

Layers of which none needs privileges: resource limits (setrlimit(2)), no capabilities, Landlock (landlock(7)) against files, TCP and
signals, and a seccomp filter (seccomp(2)) against sockets, programs and other processes. A kernel or container that
refuses one layer leaves the others in place. As a program it says what this machine's jail lacks. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncd.runtime.seccomp import Allowance, program

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL = 0x4000, 0x8000
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_ALL_BY_ABI = ((5, 0xFFFF), (3, 0x7FFF), (2, 0x3FFF), (1, 0x1FFF))
_TRUNCATES_SINCE = 3
_NET_TCP = 3
_CAPABILITY_VERSION, _CAP_DAC_READ_SEARCH = 0x20080522, 1 << 2
_SCOPE_SOCKETS_AND_SIGNALS = 3

_SYSTEM_READABLE = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/etc/libreoffice",
    "/var/cache/fontconfig",
    "/var/spool/libreoffice",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)


@dataclass(frozen=True, slots=True)
class JailLimits:
    """Resource limits of one process, None for none; memory is address space, files are what it writes."""

    memory_bytes: int | None = None
    file_bytes: int | None = 0
    open_files: int = 256


@dataclass(frozen=True, slots=True)
class Jail:
    """What a process may do. `writable` are the folders and files that it may change, `readable` what it may read beside the
    interpreter, its libraries and fonts, `devices` what it may drive.
    """

    allowance: Allowance = Allowance.COMPUTE
    limits: JailLimits = field(default_factory=JailLimits)
    writable: Sequence[str] = ()
    readable: Sequence[str] = ()
    devices: Sequence[str] = ()


def confine(jail: Jail) -> str:
    """Put this process, and all it starts, into the jail for good. Call it before any other thread exists, which Landlock
    would not bind.

    Returns what the jail lacks on this machine, in a line for people; '' when it is whole.
    """
    limits = jail.limits
    for kind, limit in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        if limit is not None:
            _, most = resource.getrlimit(kind)
            allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(kind, (allowed, allowed))
    libc = ctypes.CDLL(None, use_errno=True)
    _drop_capabilities(libc)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return "the kernel refuses no_new_privs: only resource limits hold"
    return "; ".join(filter(None, (_landlock(libc, jail), _seccomp(libc, jail.allowance))))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Keep none of root's powers (capabilities(7)) but the one to look into folders of others, where the program may lie."""
    header, held = struct.pack("=Ii", _CAPABILITY_VERSION, 0), ctypes.create_string_buffer(24)
    if libc.capget(header, held) == 0:
        kept = struct.unpack("=6I", held.raw)[1] & _CAP_DAC_READ_SEARCH
        libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def limit_cpu(seconds: float) -> None:
    """Let this process use `seconds` more of processor time; going over ends it with SIGXCPU. Twice moves the limit."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _readable() -> Iterable[str]:
    package = Path(__file__).resolve().parents[1]
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, str(package), str(Path(sys.executable).resolve().parent)]
    libraries = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    return {*_SYSTEM_READABLE, *own, *libraries}


def _landlock(libc: ctypes.CDLL, jail: Jail) -> str:
    abi = libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    if abi < 1:
        return "the kernel has no Landlock: files of the daemon's user stay readable"
    handled = next(rights for since, rights in _ALL_BY_ABI if abi >= since)
    attributes = struct.pack("=QQQ", handled, _NET_TCP, _SCOPE_SOCKETS_AND_SIGNALS)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return _landlock_refused()
    for path, rights in _rules(jail):
        _allow(libc, ruleset, path, rights & handled)
    failed = libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0
    os.close(ruleset)
    if failed:
        return _landlock_refused()
    old = "the kernel's Landlock is older than Linux 6.2: files that may be read, and are the daemon's user's, can be emptied"
    return "" if abi >= _TRUNCATES_SINCE else old


def _rules(jail: Jail) -> Iterable[tuple[str, int]]:
    """Yield each path that may be used, and how."""
    execute = jail.allowance in (Allowance.OFFICE, Allowance.PROGRAMS)
    for path in (*_readable(), *jail.readable):
        yield path, _READ_FILE | _READ_DIR | (_EXECUTE if execute else 0)
    for path in jail.writable:
        yield path, ~(_IOCTL | _EXECUTE)
    for path in jail.devices:
        yield path, _READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL
    yield "/dev/null", _READ_FILE | _WRITE_FILE


def _landlock_refused() -> str:
    return f"Landlock was refused ({os.strerror(ctypes.get_errno())}): files of the daemon's user stay readable"


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a missing path needs no permission
    if not os.path.isdir(path):
        rights &= _OF_FILES
    libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
    os.close(handle)


def _seccomp(libc: ctypes.CDLL, allowance: Allowance) -> str:
    machine = os.uname().machine
    code = program(allowance, os.getpid())
    if code is None:
        return f"no seccomp filter for {machine}: sockets and programs are not blocked"
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    if libc.syscall(_SECCOMP[machine], _SET_MODE_FILTER, _ALL_THREADS, header) != 0:
        return f"seccomp was refused ({os.strerror(ctypes.get_errno())}): sockets and programs are not blocked"
    return ""


if __name__ == "__main__":
    sys.stdout.write(confine(Jail()) + "\n")
