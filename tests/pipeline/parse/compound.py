"""Compound files (MS-CFB) and Outlook messages in them, made by hand."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Tree = Mapping[str, "bytes | Tree"]
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_END, _FREE, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
_ENTRY = struct.Struct("<64sHBBIII16sIQQIQ")


class _Sectors:
    """Sectors of one size, and which follows which."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = bytearray()
        self.next: list[int] = []

    def put(self, data: bytes) -> int:
        start = len(self.next)
        count = -(-len(data) // self.size)
        if not count:
            return _END
        self.next += [*range(start + 1, start + count), _END]
        self.data += data.ljust(count * self.size, b"\0")
        return start


def compound_file(tree: Tree) -> bytes:
    """A file with these streams and storages."""
    sectors, mini, entries = _Sectors(_SECTOR), _Sectors(_MINI), list[tuple[str, int, int, int, int, int]]()

    def add(name: str, content: bytes | Tree, kind: int) -> int:
        number = len(entries)
        entries.append((name, kind, _NONE, _NONE, 0, 0))
        if isinstance(content, bytes):
            start = (mini if len(content) < _CUTOFF else sectors).put(content)
            entries[number] = (name, 2, _NONE, _NONE, start, len(content))
            return number
        children = [add(*item, 1) for item in sorted(content.items(), key=lambda item: (len(item[0]), item[0].upper()))]
        for child, following in zip(children, [*children[1:], _NONE], strict=True):
            entries[child] = (*entries[child][:2], following, *entries[child][3:])
        entries[number] = (name, kind, _NONE, children[0] if children else _NONE, 0, 0)
        return number

    add("Root Entry", tree, 5)
    entries[0] = (*entries[0][:4], sectors.put(bytes(mini.data)), len(mini.data))
    mini_fat = sectors.put(struct.pack(f"<{len(mini.next)}I", *mini.next)) if mini.next else _END
    directory = sectors.put(b"".join(map(_entry, entries)))
    return _with_header(sectors, directory, mini_fat, -(-len(mini.next) * 4 // _SECTOR))


def _entry(entry: tuple[str, int, int, int, int, int]) -> bytes:
    name, kind, right, child, start, size = entry
    encoded = name.encode("utf-16-le")
    return _ENTRY.pack(encoded, len(encoded) + 2, kind, 1, _NONE, right, child, bytes(16), 0, 0, 0, start, size)


def _with_header(sectors: _Sectors, directory: int, mini_fat: int, mini_count: int) -> bytes:
    used, count = len(sectors.next), 1
    while count * _SECTOR // 4 < used + count:
        count += 1
    table = [*sectors.next, *[_FAT] * count]
    fat = struct.pack(f"<{len(table)}I", *table).ljust(count * _SECTOR, b"\xff")
    places = [*range(used, used + count), *[_FREE] * (109 - count)]
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, bytes(6), 0, count, directory, 0, _CUTOFF, mini_fat,
        mini_count, _END, 0,
    )  # fmt: skip
    return header + struct.pack("<109I", *places) + bytes(sectors.data) + fat


def properties(
    header_bytes: int, texts: Mapping[int, str | bytes], numbers: Sequence[tuple[int, int, int]] = (), *, ansi: str = ""
) -> dict[str, bytes | Tree]:
    """The streams of a MAPI object: texts and binary values by id, and (id, kind, value) of the others."""
    found: dict[str, bytes | Tree] = {}
    for identity, value in texts.items():
        if isinstance(value, bytes):
            found[f"__substg1.0_{identity:04X}0102"] = value
        elif ansi:
            found[f"__substg1.0_{identity:04X}001E"] = value.encode(ansi)
        else:
            found[f"__substg1.0_{identity:04X}001F"] = value.encode("utf-16-le")
    fixed = b"".join(struct.pack("<HHIQ", kind, identity, 6, value) for identity, kind, value in numbers)
    found["__properties_version1.0"] = bytes(header_bytes) + fixed
    return found
