"""The disk after a power loss, made from what `power_trace.c` wrote down of a program.

A file's writes and cuts last from the fsync on that came after them; a name (created, renamed, removed, linked) from the fsync of its
folder on. That is what POSIX promises; of the rest anything may have reached the disk, and a `Loss` says what has.
"""

import itertools
import os
import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("power_trace.c")
HEAD = struct.Struct("<IccHHHIQQ")
MAGIC = 0x50574C31
MARK, SYNCED = "M", "F"
"""Kinds of records: one that a test writes, of what was acknowledged before; one at the end of an fsync."""


class Record(NamedTuple):
    """One effect. `end` is where the log goes on behind it."""

    kind: str
    inode: int
    number: int
    path: str
    other: str
    data: bytes
    end: int


class Loss(StrEnum):
    """What of that which was not synced has reached the disk."""

    DROPPED = "dropped"
    """Nothing."""
    NAMES = "names"
    """All names, and nothing of what was written: a new file is empty."""
    SOME = "some"
    """Names up to a moment, and any writes."""
    TORN_512 = "torn at 512"
    """As `SOME`, but of each write any sectors."""
    TORN_4096 = "torn at 4096"
    """As `SOME`, but of each write any pages."""


def compiled(folder: Path) -> Path:
    """Compile the library that writes down; return it."""
    library = folder / "power_trace.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def mark(log: Path, name: str) -> None:
    """Write down that something was acknowledged to this test."""
    encoded = name.encode()
    with log.open("ab", buffering=0) as file:
        file.write(HEAD.pack(MAGIC, MARK.encode(), b"\0", len(encoded), 0, 0, 0, 0, 0) + encoded)


def records(log: bytes) -> Iterator[Record]:
    """Yield what was written down; a record that was cut off by a kill ends it."""
    start = 0
    while start + HEAD.size <= len(log):
        magic, kind, _, path_size, other_size, _, data_size, inode, number = HEAD.unpack_from(log, start)
        assert magic == MAGIC, start
        paths = start + HEAD.size
        other = paths + path_size
        data = other + other_size
        end = data + data_size
        if end > len(log):
            return
        yield Record(
            kind.decode(),
            inode,
            number,
            os.fsdecode(log[paths:other]),
            os.fsdecode(log[other:data]),
            log[data:end],
            end,
        )
        start = end


@dataclass
class Node:
    """A file, folder or symbolic link. Of a file: what lasts, and the writes (offset and bytes) and cuts (length) that do not yet."""

    kind: str
    target: str = ""
    lasting: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)

    def content(self, pending: list[tuple[int, bytes] | int]) -> bytes:
        """Return the content if only these of the pending writes had reached the disk."""
        content = bytearray(self.lasting)
        for change in pending:
            apply(content, change)
        return bytes(content)


def apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    length = change if isinstance(change, int) else change[0]
    if len(content) < length:
        content.extend(bytes(length - len(content)))
    if isinstance(change, int):
        del content[change:]
    else:
        content[change[0] : change[0] + len(change[1])] = change[1]


Names = dict[tuple[int, str], int]
"""(folder, name) -> node."""
Naming = list[tuple[tuple[int, str], int | None]]
"""What one call does to names; None removes one."""


class Disk:
    """Follows the records of what happened below a folder whose files all lasted when it began."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.marks: list[str] = []
        self._nodes: list[Node] = [Node("folder")]
        self._live: Names = {}
        self._inodes: dict[int, int] = {root.stat().st_ino: 0}
        self._namings: list[Naming] = []
        """Those that may not last yet, in order."""
        self._syncing: dict[int, tuple[int, int]] = {}
        self._read(root, 0)
        self._lasting: Names = dict(self._live)

    def _read(self, folder: Path, number: int) -> None:
        for path in folder.iterdir():
            kind = "folder" if path.is_dir() else "file"
            self._nodes.append(Node(kind, lasting=bytearray(path.read_bytes() if kind == "file" else b"")))
            self._inodes[path.stat().st_ino] = self._live[number, path.name] = child = len(self._nodes) - 1
            if kind == "folder":
                self._read(path, child)

    def follow(self, record: Record) -> None:
        """Do what a record says."""
        match record.kind:
            case "W" | "T":
                change = record.number if record.kind == "T" else (record.number, record.data)
                if record.inode in self._inodes:
                    self._nodes[self._inodes[record.inode]].pending.append(change)
            case "C" | "D" | "S":
                self._create(record)
            case "R":
                moved, place = self._place(record.path), self._place(record.other)
                self._name([(moved, None), (place, self._live[moved])])
            case "U":
                self._name([(self._place(record.path), None)])
            case "f":
                node = self._inodes.get(record.inode, 0)
                self._syncing[record.number] = (len(self._nodes[node].pending), len(self._namings))
            case "F":
                self._sync(record)
            case _:
                self.marks.append(record.path)

    def _place(self, path: str) -> tuple[int, str]:
        node, parts = 0, Path(os.path.normpath(path)).relative_to(self.root).parts
        for part in parts[:-1]:
            node = self._live[node, part]
        return node, parts[-1]

    def _create(self, record: Record) -> None:
        place = self._place(record.path)
        known = self._inodes.get(record.inode)
        if known is not None and self._live.get(place) == known:
            return
        if known is None or known not in self._live.values():
            kind = {"C": "file", "D": "folder", "S": "link"}[record.kind]
            self._nodes.append(Node(kind, record.other))
            known = self._inodes[record.inode] = len(self._nodes) - 1
        self._name([(place, known)])

    def _name(self, naming: Naming) -> None:
        change_names(self._live, naming)
        self._namings.append(naming)

    def _sync(self, record: Record) -> None:
        writes, names = self._syncing.pop(record.number)
        number = self._inodes.get(record.inode, 0)
        node = self._nodes[number]
        for change in node.pending[:writes]:
            apply(node.lasting, change)
        del node.pending[:writes]
        if node.kind == "folder":
            for naming in [n for n in self._namings[:names] if any(folder == number for (folder, _), _ in n)]:
                change_names(self._lasting, naming)
                self._namings.remove(naming)

    def files(self) -> dict[str, bytes]:
        """Return every file as the program sees it, by its path below the root."""
        return {path: node.content(node.pending) for path, node in self._walk(self._live) if node.kind == "file"}

    def lasting(self) -> dict[str, bytes]:
        """Return every file as it is sure to be after a power loss."""
        return {path: bytes(node.lasting) for path, node in self._walk(self._lasting) if node.kind == "file"}

    def after(self, loss: Loss | None, rng: random.Random, folder: Path) -> None:
        """Make the disk after a power loss at this moment, in an empty folder; None: as the program sees it."""
        names, kept = dict(self._lasting), len(self._namings)
        if loss is Loss.DROPPED:
            kept = 0
        elif loss not in (Loss.NAMES, None):
            kept = rng.randint(0, len(self._namings))
        for naming in self._namings[:kept]:
            change_names(names, naming)
        for path, node in self._walk(names):
            place = folder / path
            if node.kind == "folder":
                place.mkdir(mode=0o700)
            elif node.kind == "link":
                place.symlink_to(node.target)
            else:
                place.touch(mode=0o600)
                place.write_bytes(node.content(survivors(node.pending, loss, rng)))

    def _walk(self, names: Names) -> Iterator[tuple[str, Node]]:
        below: dict[int, list[tuple[str, int]]] = {}
        for (folder, name), number in names.items():
            below.setdefault(folder, []).append((name, number))

        def walk(number: int, path: str) -> Iterator[tuple[str, Node]]:
            for name, child in sorted(below.get(number, [])):
                yield path + name, self._nodes[child]
                yield from walk(child, f"{path}{name}/")

        return walk(0, "")


def change_names(names: Names, naming: Naming) -> None:
    for place, node in naming:
        if node is None:
            names.pop(place, None)
        else:
            names[place] = node


def survivors(
    pending: list[tuple[int, bytes] | int], loss: Loss | None, rng: random.Random
) -> list[tuple[int, bytes] | int]:
    """Return which of a file's pending writes have reached the disk."""
    if loss is None:
        return pending
    if loss in (Loss.DROPPED, Loss.NAMES):
        return []
    if loss is Loss.SOME:
        return [change for change in pending if rng.random() < 0.5]
    size = 512 if loss is Loss.TORN_512 else 4096
    pieces = [piece for change in pending for piece in torn(change, size)]
    return [piece for piece in pieces if rng.random() < 0.5]


def torn(change: tuple[int, bytes] | int, size: int) -> Iterator[tuple[int, bytes] | int]:
    """Yield a write in the pieces that each reach the disk or not."""
    if isinstance(change, int):
        yield change
        return
    offset, data = change
    edges = [offset, *range(offset - offset % size + size, offset + len(data), size), offset + len(data)]
    for start, end in itertools.pairwise(edges):
        yield start, data[start - offset : end - offset]
