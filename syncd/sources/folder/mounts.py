"""File systems that are mounted below a root: what tells that one is there, and the same as before (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from syncd.sources.folder.root import OpenRoot, entered, fingerprint_of, is_same
from syncd.sources.path_keys import key_of

_MOUNTS = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mounts_below(root: OpenRoot) -> Mapping[str, str]:
    """Return the fingerprint of what is mounted below the root, by path (ending with `/`). Blocks.

    Nothing where the system does not tell; what cannot be entered is left out.
    """
    try:
        above = os.fsencode(os.readlink(f"/proc/self/fd/{root.descriptor}")).rstrip(b"/") + b"/"
        with open(_MOUNTS, "rb") as file:
            points = [_ESCAPE.sub(_unescaped, line.split(b" ")[4]) for line in file]
    except (OSError, IndexError):
        return {}
    below = {point[len(above) :] for point in points if point.startswith(above)}
    found = {key_of(path) + "/": _fingerprint(root, path.split(b"/")) for path in below if path}
    return {path: fingerprint for path, fingerprint in found.items() if fingerprint}


def lost_mounts(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths at which something else is than what was mounted there before, in order."""
    return tuple(sorted(path for path, old in before.items() if path not in now or not is_same(old, now[path])))


def _fingerprint(root: OpenRoot, names: list[bytes]) -> str:
    folder = os.dup(root.descriptor)
    try:
        for name in names:
            folder = entered(folder, name)
        return fingerprint_of(folder)
    except OSError:
        return ""
    finally:
        os.close(folder)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 8)])
