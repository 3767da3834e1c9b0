"""Refuses the names in a commit's trees that only a maker of traps, or a broken program, would put there.

Git fetches any tree and refuses such names when it checks one out (`verify_path` in its read-cache.c). Nothing is checked out
here, but a path names a document, and must name one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MAX_PATH_BYTES = 4096
"""Linux's PATH_MAX: no file of a longer path was ever committed. It bounds what a tree of trees of trees can make us hold."""

_NEVER = frozenset({b".", b"..", b".git"})


@dataclass(frozen=True, slots=True)
class _Folder:
    """A tree whose entries are being listed: its path as git prints it and as it is shown, both with the slash."""

    path: bytes = b""
    shown: bytes = b""
    refusal: str = ""
    names: Counter[bytes] = field(default_factory=Counter[bytes])


class TreeNames:
    """Follows one listing of `git ls-tree -r -t`. It holds the names of the folders that it is in."""

    def __init__(self) -> None:
        self._open = [_Folder()]

    def read(self, path: bytes, *, is_tree: bool) -> tuple[bytes, str]:
        """Return an entry's path and why it is refused, or ''. To be called with every entry, in order.

        A refused entry's path is no other entry's: where a name has a slash or stands there before, it contains `//`. The
        first of several entries with one name counts, as for `git show COMMIT:PATH`.
        """
        if len(path) > MAX_PATH_BYTES:
            return path[:MAX_PATH_BYTES], f"refused: its path is longer than {MAX_PATH_BYTES} bytes"
        while not path.startswith(self._open[-1].path):
            self._open.pop()
        folder = self._open[-1]
        name = path[len(folder.path) :]
        folder.names[name] += 1
        times = folder.names[name]
        shown = folder.shown + name.replace(b"/", b"//") + (b"//%d" % times if times > 1 else b"")
        refusal = folder.refusal or _refusal(name, times)
        if is_tree:
            self._open.append(_Folder(path + b"/", shown + b"/", refusal))
        return shown, refusal


def is_in_order(tree: bytes, path: bytes, oid_bytes: int) -> bool:
    """Return whether the entries of a tree object, which is at `path` and has ids of so many bytes, are sorted, unique and none is refused.

    As `git fsck` has it: a folder's name is sorted as if a slash ended it, and may not be a file's too.
    """
    names, last, at = set[bytes](), b"", 0
    while at < len(tree):
        space, end = tree.find(b" ", at), tree.find(b"\0", at)
        if not at < space < end:
            return False
        mode, name, at = tree[at:space], tree[space + 1 : end], end + 1 + oid_bytes
        key = name + (b"/" if mode.lstrip(b"0") == b"40000" else b"")
        if key <= last or name in names or _refusal(name, 1) or len(path) + 1 + len(name) > MAX_PATH_BYTES:
            return False
        names.add(name)
        last = key
    return True


def _refusal(name: bytes, times: int) -> str:
    if times > 1:
        return "refused: another entry of its folder has the same name, and the first one counts"
    if b"/" in name:
        return "refused: its name in the tree contains a slash"
    if name.lower() in _NEVER:
        return f"refused: no file or folder of a repository can be called {name.decode()!r}"
    return ""
