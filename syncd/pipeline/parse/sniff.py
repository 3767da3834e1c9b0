"""What a document's bytes are, whatever its name says. Only jailed parsers come here: a stranger wrote those bytes."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from syncd.errors import PermanentError
from syncd.model import formats
from syncd.model.formats import CSV, HTML, IMAGE, PDF, Format
from syncd.model.markup import prolog_bytes
from syncd.pipeline.parse.archive import check_directory, read_member
from syncd.pipeline.parse.encoding import bare_utf16
from syncd.pipeline.parse.flat_odf import FLAT_HEAD_BYTES, flat_mimetype
from syncd.pipeline.parse.task import Task

_HEAD_BYTES = FLAT_HEAD_BYTES
_BLOCK_BYTES = 1 << 20
_MIMETYPE_BYTES = 200
_ENCRYPTED = "EncryptedPackage"
_POWERPOINT = "PowerPoint Document"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ROOT = re.compile(rb"<!doctype\s+html|<(?:html|head|body|table|div|meta)\b", re.I)


def confirm(task: Task) -> Format:
    """Return the format the content has, which may differ from what `task.format` promises.

    Raises PermanentError when the file is empty, encrypted, over its limits, or nothing its name can stand for.
    """
    with task.path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if not head.strip(b"\0 \t\r\n"):
            raise PermanentError(f"{task.name} is empty ({'0 bytes' if not head else 'nothing but blanks'})")
        found = _sniff(file, head, task)
    if found is not None:
        return found
    if task.format.is_any_text and _texty(head):
        return task.format
    raise PermanentError(f"{task.name} cannot be read as {task.format.name}: its content is damaged or of another kind")


def legacy_suffix(path: Path) -> str:
    """Return the suffix by which LibreOffice, which goes by names, reads a file of `LEGACY`."""
    with path.open("rb") as file:
        return ".ppt" if _POWERPOINT in _streams(file) else ".doc"


def _texty(head: bytes) -> bool:
    return head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" not in head or bool(bare_utf16(head))


def _sniff(file: BinaryIO, head: bytes, task: Task) -> Format | None:
    if b"%PDF-" in head[:1024]:
        return PDF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return IMAGE
    if head.startswith(_ZIP):
        return _sniff_archive(file, task)
    if head.startswith(_OLE):
        return _sniff_compound(file, task)
    for each in formats.FORMATS:
        if head.startswith(each.magic):
            return each
    if flat := _by_mimetype(flat_mimetype(head)):
        return flat
    return HTML if task.format is not CSV and _ROOT.match(head, prolog_bytes(head)) else None


def _sniff_archive(file: BinaryIO, task: Task) -> Format | None:
    try:
        with ZipFile(file) as archive:
            check_directory(archive, task.name, task.limits)
            names = set(archive.namelist())
            kind = read_member(archive, "mimetype", _MIMETYPE_BYTES) if "mimetype" in names else None
    except (BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise PermanentError(f"{task.name} is damaged: its archive cannot be opened ({error})") from error
    return _by_mimetype(kind or b"") or next(
        (each for each in formats.FORMATS if not names.isdisjoint(each.package_parts)), None
    )


def _by_mimetype(mimetype: bytes) -> Format | None:
    beginnings = [(start, each) for each in formats.FORMATS for start in each.mimetypes if mimetype.startswith(start)]
    return max(beginnings, key=lambda found: len(found[0]))[1] if beginnings else None


def _sniff_compound(file: BinaryIO, task: Task) -> Format | None:
    """Tell compound files apart by their stream names, which stand in the file as UTF-16; so do those of files inside them, hence a
    file that can be what its name says is that.
    """
    found = _streams(file)
    if not found.isdisjoint(task.format.streams):
        return task.format
    if _ENCRYPTED in found:
        raise PermanentError(f"{task.name} is encrypted: save it without a password")
    return next((each for each in formats.FORMATS if not found.isdisjoint(each.streams)), None)


def _streams(file: BinaryIO) -> set[str]:
    """Return which of the telling stream names stand in the file; reads it block by block."""
    names = [_ENCRYPTED, *(stream for each in formats.FORMATS for stream in each.streams)]
    wanted = {name: name.encode("utf-16-le") for name in names}
    found: set[str] = set()
    kept = b""
    file.seek(0)
    while block := file.read(_BLOCK_BYTES):
        kept += block
        found |= {name for name, encoded in wanted.items() if encoded in kept}
        kept = kept[-_HEAD_BYTES:]
    return found
