"""Sandboxes a process that reads untrusted documents: it may only compute, and read and write its own scratch folder.

Layers of which none needs privileges: resource limits (setrlimit(2)), no capabilities, Landlock (landlock(7)) against files, TCP and
signals, and a seccomp filter (seccomp(2)) against sockets, programs and other processes. A kernel or container that
refuses one layer leaves the others in place; `Confinement` says which are.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncd.pipeline.parse.seccomp import Allowance, program

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_FILE, _MAKE_SOCKET = 32, 512
_ALL_BY_ABI = ((5, 0xFFFF), (3, 0x7FFF), (2, 0x3FFF), (1, 0x1FFF))
_NET_TCP = 3
_CAPABILITY_VERSION, _CAP_DAC_READ_SEARCH = 0x20080522, 1 << 2
_SCOPE_SOCKETS_AND_SIGNALS = 3
_IOCTL_AND_EXECUTE = 0x8000 | _EXECUTE

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
    """Resource limits of one process; memory is address space, files are what it writes."""

    memory_bytes: int
    file_bytes: int
    open_files: int = 256


@dataclass(frozen=True, slots=True)
class Confinement:
    """Which layers hold. `missing` is '' when all do, else one line for people."""

    landlock_abi: int
    seccomp: bool
    missing: str


def confine(scratch: Path, limits: JailLimits, allowance: Allowance, readable: Sequence[str] = ()) -> Confinement:
    """Put this process, and all it starts, into the jail for good. Call it before any other thread exists.

    Only `scratch` stays writable; the interpreter, its libraries, fonts and `readable` stay readable.
    """
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    _drop_capabilities(libc)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Confinement(0, False, "the kernel refuses no_new_privs: only resource limits hold")
    abi, landlock_error = _landlock(libc, scratch, readable, execute=allowance is Allowance.OFFICE)
    seccomp_error = _seccomp(libc, allowance)
    return Confinement(abi, not seccomp_error, "; ".join(filter(None, (landlock_error, seccomp_error))))


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
    package = Path(__file__).resolve().parents[2]
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, str(package), str(Path(sys.executable).resolve().parent)]
    libraries = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    return {*_SYSTEM_READABLE, *own, *libraries}


def _landlock(libc: ctypes.CDLL, scratch: Path, readable: Sequence[str], *, execute: bool) -> tuple[int, str]:
    abi = libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    if abi < 1:
        return 0, "the kernel has no Landlock: files of the daemon's user stay readable to parsers"
    handled = next(rights for since, rights in _ALL_BY_ABI if abi >= since)
    attributes = struct.pack("=QQQ", handled, _NET_TCP, _SCOPE_SOCKETS_AND_SIGNALS)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return 0, f"Landlock was refused ({os.strerror(ctypes.get_errno())})"
    look = _READ_FILE | _READ_DIR | (_EXECUTE if execute else 0)
    for path in (*_readable(), *readable):
        _allow(libc, ruleset, path, look)
    _allow(libc, ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
    if execute:
        # LibreOffice binds its socket in /tmp, wherever TMPDIR points, and removes it when it starts itself anew
        _allow(libc, ruleset, "/tmp", _MAKE_SOCKET | _REMOVE_FILE)  # noqa: S108 - the place is its choice
    _allow(libc, ruleset, str(scratch), handled & ~_IOCTL_AND_EXECUTE)
    failed = libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0
    os.close(ruleset)
    if failed:
        return 0, f"Landlock was refused ({os.strerror(ctypes.get_errno())})"
    return abi, ""


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a missing path needs no permission
    if not os.path.isdir(path):
        rights &= _EXECUTE | _WRITE_FILE | _READ_FILE
    libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
    os.close(handle)


def _seccomp(libc: ctypes.CDLL, allowance: Allowance) -> str:
    code = program(allowance, os.getpid())
    if code is None:
        return f"no seccomp filter for {os.uname().machine}: sockets are not blocked"
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        return f"seccomp was refused ({os.strerror(ctypes.get_errno())}): sockets are not blocked"
    return ""
