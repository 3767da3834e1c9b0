"""Zip archives that documents are made of: looked through before anything is unpacked, read within limits."""

from __future__ import annotations

import posixpath
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, BadZipFile, ZipFile

from syncd.errors import PermanentError
from syncd.pipeline.parse.task import DocumentLimits

_ENCRYPTED_FLAG = 1
_BLOCK_BYTES = 1 << 20
_METHODS = (ZIP_STORED, ZIP_DEFLATED)
"""What documents may be packed with (ECMA-376 part 2, OpenDocument 1.3 part 2, EPUB OCF 3). Of every other method zipfile
unpacks four kilobytes at once, whatever size was asked for and declared; with bzip2 those become gigabytes."""
UNREADABLE_DIRECTORY = (BadZipFile, NotImplementedError, UnicodeDecodeError)
"""What zipfile raises when it opens an archive whose listing is damaged, asks for a later version, or has names in no encoding."""
_UNBOUNDED = {ZIP_BZIP2: "bzip2", ZIP_LZMA: "LZMA"}
_BOMB_FLOOR_BYTES = 32 << 20
_HEAD_BYTES = 4096
_STRICT = b"http://purl.oclc.org/ooxml/"
_COMMON = b"http://schemas.openxmlformats.org/"
_COMMON_NAMESPACES = (
    (_STRICT + b"wordprocessingml/main", _COMMON + b"wordprocessingml/2006/main"),
    (_STRICT + b"spreadsheetml/main", _COMMON + b"spreadsheetml/2006/main"),
    (_STRICT + b"presentationml/main", _COMMON + b"presentationml/2006/main"),
    (_STRICT + b"drawingml/main", _COMMON + b"drawingml/2006/main"),
    (_STRICT + b"drawingml/wordprocessingDrawing", _COMMON + b"drawingml/2006/wordprocessingDrawing"),
    (_STRICT + b"drawingml/picture", _COMMON + b"drawingml/2006/picture"),
    (_STRICT + b"drawingml/chart", _COMMON + b"drawingml/2006/chart"),
    (_STRICT + b"officeDocument/math", _COMMON + b"officeDocument/2006/math"),
    (_STRICT + b"officeDocument/relationships", _COMMON + b"officeDocument/2006/relationships"),
)


class Package:
    """An open document archive. Members are read whole, never above the limits; missing ones read as None."""

    def __init__(self, archive: ZipFile, name: str, limits: DocumentLimits) -> None:
        self._archive = archive
        self._name = name
        self._limits = limits
        self.members = {info.filename for info in archive.infolist()}

    def read(self, member: str) -> bytes | None:
        """Return a member's bytes, or None when it is missing. Raises PermanentError when damaged or encrypted."""
        if member not in self.members:
            return None
        try:
            data = read_member(self._archive, member, self._limits.expanded_bytes)
        except (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
            raise PermanentError(f"{self._name} is damaged: its part {member} cannot be unpacked ({error})") from error
        if data is None:
            raise PermanentError(f"{self._name} unpacks to more than {self._limits.expanded_bytes >> 20} MiB")
        return data

    def xml(self, member: str) -> Element | None:
        """Return a member's XML root, or None when it is missing. External entities are not fetched.

        Raises PermanentError when it is not well-formed.
        """
        data = self.xml_bytes(member)
        if data is None:
            return None
        try:
            return ElementTree.fromstring(data)  # noqa: S314 - expat bounds entity expansion and fetches nothing
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise PermanentError(f"{self._name} is damaged: its part {member} is not well-formed ({error})") from error

    def xml_bytes(self, member: str) -> bytes | None:
        """Return a member's bytes, with the namespaces of the strict variant of Office files replaced by the common ones."""
        data = self.read(member)
        if data is not None and _STRICT in data[:_HEAD_BYTES]:
            for strict, common in _COMMON_NAMESPACES:
                data = data.replace(strict, common)
        return data

    def relations(self, member: str) -> dict[str, tuple[str, str]]:
        """Return what an Office part points to: id to (kind, target), targets inside resolved."""
        folder, _, file = member.rpartition("/")
        root = self.xml(f"{folder}/_rels/{file}.rels" if folder else f"_rels/{file}.rels")
        found: dict[str, tuple[str, str]] = {}
        for relation in root if root is not None else ():
            kind = relation.get("Type", "").rpartition("/")[2]
            target = relation.get("Target", "")
            if relation.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, unquote(target))).lstrip("/")
            found[relation.get("Id", "")] = (kind, target)
        return found


@contextmanager
def open_package(path: Path, name: str, limits: DocumentLimits) -> Generator[Package, None, None]:
    """Open the archive at `path` after checking its directory. Raises PermanentError: damaged, encrypted, too large."""
    try:
        archive = ZipFile(path)
    except UNREADABLE_DIRECTORY as error:
        raise PermanentError(f"{name} is damaged: its archive cannot be opened ({error})") from error
    with archive:
        check_directory(archive, name, limits)
        yield Package(archive, name, limits)


def read_member(archive: ZipFile, member: str, limit_bytes: int) -> bytes | None:
    """Return `member` unpacked, or None if it is over `limit_bytes`; hardly more than that is ever unpacked.

    `archive` has passed `check_directory`. Raises what zipfile raises for damaged members.
    """
    data = bytearray()
    with archive.open(member) as stream:
        # Block by block: asked for more at once, zipfile unpacks it all before it looks at the declared size.
        while len(data) <= limit_bytes and (block := stream.read(_BLOCK_BYTES)):
            data += block
    return bytes(data) if len(data) <= limit_bytes else None


def check_directory(archive: ZipFile, name: str, limits: DocumentLimits) -> None:
    """Raise PermanentError when the archive's own listing is over the limits or says that it is encrypted."""
    members = archive.infolist()
    if len(members) > limits.members:
        raise PermanentError(f"{name} has {len(members):,} archive members, over {limits.members:,}")
    total = sum(info.file_size for info in members)
    if total > limits.expanded_bytes:
        raise PermanentError(
            f"{name} unpacks to {total >> 20:,} MiB, over {limits.expanded_bytes >> 20:,} MiB: split it"
        )
    for info in members:
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise PermanentError(f"{name} is encrypted: save it without a password")
        if info.compress_type not in _METHODS:
            method = _UNBOUNDED.get(info.compress_type, f"method {info.compress_type}")
            raise PermanentError(
                f"{name} cannot be read: its part {info.filename} is packed with {method}, where only "
                "deflate is allowed; save it again with the program it comes from"
            )
        grown = info.file_size > limits.expansion * max(info.compress_size, 1)
        if info.file_size > _BOMB_FLOOR_BYTES and grown:
            raise PermanentError(
                f"{name} looks like an archive bomb: {info.filename} unpacks to over {limits.expansion} times its size"
            )
