r"""File names are bytes and keys are text: a path as a key, and back.

A byte that is not UTF-8 is written as `\xe9`. A backslash that would read as the beginning of such an escape is written as
`\x5c`, so that two paths never share a key (as Git's quoted paths do it, core.quotePath).
"""

from __future__ import annotations

import re

_LOOKS_ESCAPED = re.compile(rb"\\(?=x(?:5c|[89a-f][0-9a-f]))")
_ESCAPED = re.compile(rb"\\x(5c|[89a-f][0-9a-f])")


def key_of(path: bytes) -> str:
    """Return the key of a path; another path has another key."""
    return _LOOKS_ESCAPED.sub(rb"\\x5c", path).decode("utf-8", "backslashreplace")


def path_of(key: str) -> bytes:
    """Return the path whose key is `key`: `key_of`, undone. Any text gives some path."""
    plain = key.encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), plain)
