"""A network of its own for a child that listens on loopback: nobody else on the machine can reach it (network_namespaces(7)).

    python -m syncd.runtime.private_network DESCRIPTOR PROGRAM ARGUMENT...

makes the network and becomes the program; where the kernel or a sandbox allows none, the program runs as it is. The first
message on the Unix socket DESCRIPTOR says which: `READY`, or why not. A child that stays behind then answers each byte with a
new TCP socket of that network (SCM_RIGHTS, unix(7)): a socket belongs to the network that it was made in, whoever uses it, so
requests cost what they cost on loopback. Standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from pathlib import Path

from syncd.runtime.launch import die_with_parent

READY = b"ready"
MESSAGE_MAX_BYTES = 512
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_FLAGS = 0x8914
_UP_AND_RUNNING = 0x41


def enter_network() -> None:
    """Move this process into a network that has nothing but a loopback of its own. Raises OSError where that cannot be had.

    Without privileges that takes a user namespace, in which the user is who he was. Call it before any other thread exists.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_NEW_NETWORK)
    except PermissionError:
        _unshare(_NEW_USER | _NEW_NETWORK)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP_AND_RUNNING))


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def main(arguments: list[str]) -> None:
    """Become `arguments[1:]`, in a network of its own if that can be had. Raises OSError when it cannot run."""
    descriptor, *program = arguments
    channel = socket.socket(fileno=int(descriptor))
    try:
        enter_network()
    except OSError as error:
        channel.send(str(error).encode()[:MESSAGE_MAX_BYTES])
    else:
        own_pid = os.getpid()
        if os.fork() == 0:
            _hand_out_sockets(channel, own_pid)
        channel.send(READY)
    channel.close()
    die_with_parent(signal.SIGTERM)
    os.execvp(program[0], program)  # noqa: S606 - becoming the given program is this module's purpose


def _hand_out_sockets(channel: socket.socket, parent_pid: int) -> None:
    """Answer requests for as long as the program and who asks live; then end this process."""
    try:
        die_with_parent(signal.SIGKILL, parent_pid)
        kept = channel.fileno()
        os.closerange(0, kept)  # above all the program's lock and its output, whose end others wait for
        os.closerange(kept + 1, kept + 256)
        while channel.recv(1):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
                socket.send_fds(channel, [READY], [made.fileno()])
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
