"""What keys of all object stores have in common: flat names, of which a prefix may begin many."""

from __future__ import annotations

from syncd.chroma.naming import MAX_OBJECT_KEY_BYTES
from syncd.errors import PermanentError
from syncd.quoting import shown

EMPTY_PAGES = 1000
"""In a row: a listing may step over that many pages of deleted objects, each with a token that leads on."""


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is a valid key prefix. Raises PermanentError."""
    if len(prefix.encode()) > MAX_OBJECT_KEY_BYTES - 1 or prefix.startswith("/"):
        raise PermanentError(
            f"path_prefix {shown(prefix)}: at most {MAX_OBJECT_KEY_BYTES - 1} bytes and no slash in front; "
            "object stores compare whole keys, which do not begin with one as paths do: write 'docs/', not '/docs/'"
        )
    return prefix


def prefix_notice(prefix: str | None) -> str:
    """Say that a prefix is no folder (Amazon S3 User Guide, "Organizing objects using prefixes"); '' where it looks like one."""
    if not prefix or prefix.endswith("/"):
        return ""
    end = prefix[-100:]
    return f"path_prefix {shown(end)} takes every key that begins so, such as {shown(end + 'x/y.md')}; end it with '/' for a folder"


def is_folder(key: str, size_bytes: int) -> bool:
    """Return whether an object is the empty marker with which consoles represent a folder."""
    return size_bytes == 0 and key.endswith("/")


def overlap(prefix: str | None, other: str | None) -> bool:
    """Return whether a key may begin with both prefixes."""
    ours, theirs = prefix or "", other or ""
    return ours.startswith(theirs) or theirs.startswith(ours)
