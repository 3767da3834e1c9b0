"""The MAPI properties of one object in an Outlook message: a mail, a recipient or an attachment."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from olefile import OleFileIO

from syncd.pipeline.parse.rtf_state import code_page

TOP, EMBEDDED, PART = 32, 24, 8
"""Bytes before the fixed properties of a file's own mail, of a mail in it, of a recipient or attachment."""
_FIXED = "__properties_version1.0"
_UNICODE, _STRING, _BINARY, _STORAGE = 0x001F, 0x001E, 0x0102, 0x000D
_INTEGER, _TIME = 0x0003, 0x0040
_MESSAGE_CODE_PAGE, _INTERNET_CODE_PAGE = 0x3FFD, 0x3FDE
_ENTRY = struct.Struct("<HHI8s")


class CompoundFile:
    """A compound file and its directory. Raises what olefile raises for damaged files."""

    def __init__(self, data: bytes) -> None:
        self._file: OleFileIO[str] = OleFileIO(io.BytesIO(data))
        self._names: dict[tuple[str, ...], dict[str, str]] = {}
        for entry in self._file.listdir(streams=True, storages=True):
            folder = tuple(name.lower() for name in entry[:-1])
            self._names.setdefault(folder, {})[entry[-1].lower()] = entry[-1]

    def names(self, path: Sequence[str]) -> Mapping[str, str]:
        """Return what is in a storage: names in lower case, and as they are."""
        return self._names.get(tuple(name.lower() for name in path), {})

    def read(self, path: Sequence[str]) -> bytes:
        """Return a stream's bytes, none where there is no such stream."""
        if path[-1].lower() not in self.names(path[:-1]):
            return b""
        return self._file.openstream(list(path)).read()


class Properties:
    """Reads from a storage. Raises what olefile raises for damaged files."""

    def __init__(self, file: CompoundFile, path: Sequence[str], header_bytes: int, codec: str = "") -> None:
        self._file = file
        self._path = list(path)
        self._fixed = dict(self._entries(header_bytes))
        page = self.number(_MESSAGE_CODE_PAGE)
        self._text_codec = code_page(page) if page else codec or "cp1252"
        page = self.number(_INTERNET_CODE_PAGE)
        self.codec = code_page(page) if page else self._text_codec
        """The encoding of HTML."""

    def text(self, identity: int) -> str:
        """Return a text, '' for none."""
        data = self._stream(identity, _UNICODE)
        if data:
            return data.decode("utf-16-le", "replace").replace("\0", "")
        return self._stream(identity, _STRING).decode(self._text_codec, "replace").replace("\0", "")

    def binary(self, identity: int) -> bytes:
        """Return bytes, none for nothing."""
        return self._stream(identity, _BINARY)

    def number(self, identity: int) -> int:
        """Return a number, 0 for none."""
        value = self._fixed.get((identity, _INTEGER))
        return struct.unpack_from("<i", value)[0] if value else 0

    def time(self, identity: int) -> datetime | None:
        """Return a point in time, None for none that a calendar has."""
        value = self._fixed.get((identity, _TIME))
        ticks = struct.unpack("<Q", value)[0] if value else 0
        try:
            return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10) if ticks else None
        except OverflowError:
            return None

    def storage(self, identity: int, header_bytes: int) -> Properties | None:
        """Return the object that a property holds, None when it holds none."""
        inner = [*self._path, f"__substg1.0_{identity:04X}{_STORAGE:04X}"]
        is_there = _FIXED in self._file.names(inner)
        return Properties(self._file, inner, header_bytes, self._text_codec) if is_there else None

    def inside(self, prefix: str) -> Iterator[Properties]:
        """Yield the recipients or attachments, whose storages' names have a prefix, in order."""
        for key, name in sorted(self._file.names(self._path).items()):
            if key.startswith(prefix):
                yield Properties(self._file, [*self._path, name], PART, self._text_codec)

    def _stream(self, identity: int, kind: int) -> bytes:
        return self._file.read([*self._path, f"__substg1.0_{identity:04X}{kind:04X}"])

    def _entries(self, header_bytes: int) -> Iterator[tuple[tuple[int, int], bytes]]:
        data = self._file.read([*self._path, _FIXED])
        for at in range(header_bytes, len(data) - _ENTRY.size + 1, _ENTRY.size):
            kind, identity, _, value = _ENTRY.unpack_from(data, at)
            yield (identity, kind), value
