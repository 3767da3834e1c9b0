"""The seccomp filter of jailed parsers, assembled here so that no library is needed for it (classic BPF, seccomp(2))."""

from __future__ import annotations

import os
import struct
from enum import Enum, auto
from errno import ENOSYS, EPERM

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
_AF_UNIX = 1

_Instruction = tuple[int, int, int, int]


class Allowance(Enum):
    """How much a jailed process needs: PARSER only threads; OFFICE also programs and local sockets."""

    PARSER = auto()
    OFFICE = auto()


_ARCHITECTURES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
            "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101,
            "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "init_module": 175,
            "delete_module": 176, "tkill": 200, "tgkill": 234, "kexec_load": 246, "add_key": 248,
            "request_key": 249, "keyctl": 250, "unshare": 272, "accept4": 288, "perf_event_open": 298,
            "prlimit64": 302, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
            "finit_module": 313, "bpf": 321, "execveat": 322, "userfaultfd": 323, "io_uring_setup": 425,
            "pidfd_open": 434, "clone3": 435, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94,
            "utime": 132, "mknod": 133, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
            "lremovexattr": 198, "fremovexattr": 199, "utimes": 235, "mknodat": 259, "fchownat": 260, "futimesat": 261,
            "fchmodat": 268, "utimensat": 280, "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "unshare": 97, "kexec_load": 104,
            "init_module": 105, "delete_module": 106, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131,
            "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203,
            "sendto": 206, "sendmsg": 211, "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220,
            "execve": 221, "perf_event_open": 241, "accept4": 242, "prlimit64": 261, "setns": 268,
            "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273, "bpf": 280, "execveat": 281,
            "userfaultfd": 282, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "setxattr": 5, "lsetxattr": 6,
            "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "mknodat": 33, "fchmod": 52,
            "fchmodat": 53, "fchownat": 54, "fchown": 55, "utimensat": 88, "fchmodat2": 452, "setxattrat": 463,
            "removexattrat": 466,
        },
    ),
}  # fmt: skip

_SOCKETS = ("socket", "connect", "bind", "listen", "accept", "accept4", "sendmsg")
_PROGRAMS = ("fork", "vfork", "execve", "execveat")
# Landlock leaves what belongs to a file beside its content alone, also of files that it closes.
_METADATA = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "mknod", "mknodat", "utime", "utimes",
    "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr",
    "fremovexattr", "removexattrat",
)  # fmt: skip
_ALWAYS_DENIED = (
    "ptrace", "pivot_root", "chroot", "mount", "umount2", "init_module", "finit_module", "delete_module",
    "kexec_load", "add_key", "request_key", "keyctl", "unshare", "setns", "perf_event_open", "process_vm_readv",
    "process_vm_writev", "bpf", "userfaultfd", "io_uring_setup", "pidfd_open",
)  # fmt: skip


def program(allowance: Allowance, pid: int) -> bytes | None:
    """Return the filter as an array of sock_filter for process `pid` on this machine; None for unknown processors."""
    known = _ARCHITECTURES.get(os.uname().machine)
    if known is None:
        return None
    arch, numbers = known
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _ERRNO | EPERM),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _ERRNO | EPERM),
    ]
    if allowance is Allowance.PARSER:
        code += _deny(numbers, (*_ALWAYS_DENIED, *_SOCKETS, *_PROGRAMS, *_METADATA, "tkill"))
        # runtimes of native libraries wake themselves through a local pair, which leads nowhere else
        code += _only_if(numbers["socketpair"], _JUMP_EQUAL, _AF_UNIX)
        code += _only_if(numbers["clone"], _JUMP_ANY_BIT, _CLONE_THREAD)
        code += _only_if(numbers["kill"], _JUMP_EQUAL, pid)
        code += _only_if(numbers["tgkill"], _JUMP_EQUAL, pid)
        code += _only_if(numbers["prlimit64"], _JUMP_EQUAL, 0)
        # glibc falls back to clone, whose flags a filter can see
        code += [(_JUMP_EQUAL, 0, 1, numbers["clone3"]), (_RETURN, 0, 0, _ERRNO | ENOSYS)]
    else:
        code += _deny(numbers, _ALWAYS_DENIED)
        code += _only_if(numbers["socket"], _JUMP_EQUAL, _AF_UNIX)
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _deny(numbers: dict[str, int], names: tuple[str, ...]) -> list[_Instruction]:
    return [
        instruction
        for name in names
        if name in numbers
        for instruction in ((_JUMP_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _ERRNO | EPERM))
    ]


def _only_if(number: int, jump: int, value: int) -> list[_Instruction]:
    """Allow a call only when its first argument's low half passes `jump` against `value`."""
    return [
        (_JUMP_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (jump, 0, 1, value),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | EPERM),
    ]
