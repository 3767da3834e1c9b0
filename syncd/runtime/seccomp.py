"""The filters of system calls of jailed processes, assembled here so that no library is needed for it (classic BPF, seccomp(2))."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from enum import Enum, auto
from errno import ENOSYS, EPERM

from syncd.runtime.system_calls import AUDIT_ARCHITECTURES, CALL_NUMBERS

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCH_AT = 0, 4
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
_AF_UNIX = 1
_DATAGRAM_BIT = 2
"""In the types of sockets that take a message for any address (SOCK_DGRAM, SOCK_RAW), and in none that keep to their peer."""
_SET_OWNER, _SET_SIGNAL, _SET_OWNER_EX = 8, 10, 15
_NEWER_THAN_THE_LISTS = 451

_Instruction = tuple[int, int, int, int]
_Check = tuple[int, int, int, bool]
"""Where in the call's data, how it is compared, with what, and the outcome that lets it pass."""


class Allowance(Enum):
    """How much a jailed process needs: COMPUTE only listed calls, with threads and its files; DEVICES what drivers of graphics
    cards and libraries of other engines may call, too, but no programs; OFFICE also becoming one, and none beside itself;
    PROGRAMS as many as it likes.
    """

    COMPUTE = auto()
    DEVICES = auto()
    OFFICE = auto()
    PROGRAMS = auto()


_COMPUTING = """
    access arch_prctl brk capget chdir clock_getres clock_gettime clock_nanosleep close close_range copy_file_range creat dup dup2
    dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 exit exit_group faccessat
    faccessat2 fadvise64 fallocate fchdir fdatasync flock fstat fstatfs fsync ftruncate futex futex_waitv get_mempolicy
    get_robust_list getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
    getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
    gettimeofday getuid ioctl link linkat lseek lstat madvise membarrier mincore mkdir mkdirat mlock mmap mprotect mremap msync
    munlock munmap nanosleep newfstatat open openat openat2 pause pipe pipe2 poll ppoll prctl pread64 preadv preadv2 pselect6
    pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom rename renameat renameat2 restart_syscall rmdir
    rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler sched_yield select sendfile set_robust_list
    set_tid_address setitimer setrlimit shutdown sigaltstack signalfd4 stat statfs statx symlink symlinkat sync_file_range
    sysinfo time timerfd_create timerfd_gettime timerfd_settime times umask uname unlink unlinkat wait4 waitid write writev
"""
"""What computing takes, reading and writing files where Landlock allows it, and waiting: all that a process may call. No chmod
and the like, which Landlock leaves alone; no truncate by name, which older kernels' does too.
"""
_NEW_PROCESSES = "fork vfork"
_NEW_PROGRAMS = "execve execveat"
_ADDRESSED = "connect sendmsg sendmmsg"
_METADATA = """
    chmod chown fchmod fchmodat fchmodat2 fchown fchownat fremovexattr fsetxattr futimesat lchown lremovexattr lsetxattr mknod
    mknodat removexattr removexattrat setxattr setxattrat utime utimensat utimes
"""
"""Landlock leaves what belongs to a file beside its content alone, also of files that it closes."""
_NEVER = """
    add_key bpf chroot delete_module finit_module init_module io_uring_setup kexec_load keyctl mount name_to_handle_at
    open_by_handle_at perf_event_open pidfd_open pivot_root process_vm_readv process_vm_writev ptrace request_key setns umount2
    unshare userfaultfd
"""
_DENIED = {
    Allowance.DEVICES: f"{_NEVER} {_NEW_PROCESSES} {_NEW_PROGRAMS} {_ADDRESSED} {_METADATA} tkill",
    Allowance.OFFICE: f"{_NEVER} {_NEW_PROCESSES} {_ADDRESSED} {_METADATA} tkill",
    Allowance.PROGRAMS: f"{_NEVER} {_METADATA} connect sendmmsg",
}


def program(allowance: Allowance, pid: int) -> bytes | None:
    """Return the filter as an array of sock_filter for process `pid` on this machine; None for unknown processors."""
    machine = os.uname().machine
    if machine not in CALL_NUMBERS:
        return None
    numbers = CALL_NUMBERS[machine]
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_EQUAL, 1, 0, AUDIT_ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _ERRNO | EPERM),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _ERRNO | EPERM),
    ]
    for name, checks in _conditions(allowance, pid).items():
        if name in numbers:
            code += _only_if(numbers[name], checks)
    if allowance is not Allowance.PROGRAMS:
        # glibc falls back to clone, whose flags a filter can see
        code += _answered(numbers, ["clone3"], _ERRNO | ENOSYS)
    if allowance is Allowance.COMPUTE:
        code += _answered(numbers, _COMPUTING.split(), _ALLOW)
        # as a kernel answers that does not have them, for which libraries are prepared
        code += [(_JUMP_AT_LEAST, 0, 1, _NEWER_THAN_THE_LISTS), (_RETURN, 0, 0, _ERRNO | ENOSYS)]
        code.append((_RETURN, 0, 0, _ERRNO | EPERM))
    else:
        code += _answered(numbers, _DENIED[allowance].split(), _ERRNO | EPERM)
        code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _conditions(allowance: Allowance, pid: int) -> dict[str, list[_Check]]:
    """Return what calls must look like to be allowed."""
    local = [_low(0, _JUMP_EQUAL, _AF_UNIX), _low(1, _JUMP_ANY_BIT, _DATAGRAM_BIT, passes=False)]
    nameless = [_low(4, _JUMP_EQUAL, 0), _high(4, _JUMP_EQUAL, 0)]
    # runtimes of native libraries wake themselves through a local pair, which leads nowhere else
    common = {"socketpair": local, "sendto": nameless}
    if allowance is Allowance.PROGRAMS:
        return {**common, "socket": local}
    own = [_low(0, _JUMP_EQUAL, pid)]
    signals = [_low(1, _JUMP_EQUAL, command, passes=False) for command in (_SET_OWNER, _SET_SIGNAL, _SET_OWNER_EX)]
    confined: dict[str, list[_Check]] = {
        **common,
        "kill": own,
        "tgkill": own,
        "fcntl": signals,
        "clone": [_low(0, _JUMP_ANY_BIT, _CLONE_THREAD)],
        "prlimit64": [_low(0, _JUMP_EQUAL, 0)],
    }
    if allowance is Allowance.OFFICE:
        # LibreOffice puts its socket where it is told to only when it finds neither /tmp nor /var/tmp writable
        mode_at = {"access": 1, "faccessat": 2, "faccessat2": 2}
        confined |= {name: [_low(at, _JUMP_EQUAL, os.W_OK, passes=False)] for name, at in mode_at.items()}
    # CUDA's driver waits at a local socket of its own
    return confined if allowance is Allowance.COMPUTE else {**confined, "socket": local}


def _low(argument: int, jump: int, value: int, *, passes: bool = True) -> _Check:
    """Return a check of an argument's low half (struct seccomp_data; both architectures are little-endian)."""
    return 16 + 8 * argument, jump, value, passes


def _high(argument: int, jump: int, value: int) -> _Check:
    return 20 + 8 * argument, jump, value, True


def _answered(numbers: dict[str, int], names: Iterable[str], answer: int) -> list[_Instruction]:
    """Give calls the same answer; those that the processor does not have are left out."""
    found = sorted(numbers[name] for name in names if name in numbers)
    return [step for number in found for step in ((_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer))]


def _only_if(number: int, checks: list[_Check]) -> list[_Instruction]:
    """Allow a call only when all checks pass."""
    code: list[_Instruction] = []
    for place, (at, jump, value, passes) in enumerate(checks):
        to_refusal = 2 * (len(checks) - place - 1) + 1
        code += [(_LOAD, 0, 0, at), (jump, *((0, to_refusal) if passes else (to_refusal, 0)), value)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | EPERM)]
    return [(_JUMP_EQUAL, 0, len(code), number), *code]
