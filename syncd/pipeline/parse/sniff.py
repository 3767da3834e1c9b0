"""What a document's bytes are, whatever its name says. Only jailed parsers come here: a stranger wrote those bytes."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from syncd.errors import PermanentError
from syncd.model.markup import prolog_bytes
from syncd.pipeline.parse.archive import check_directory, read_member
from syncd.pipeline.parse.formats import Format
from syncd.pipeline.parse.task import Task

_HEAD_BYTES = 4096
_BLOCK_BYTES = 1 << 20
_MIMETYPE_BYTES = 200
_STREAMS = ("EncryptedPackage", "WordDocument", "PowerPoint Document", "Workbook", "Book")
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", Format.IMAGE),
    (b"\xff\xd8\xff", Format.IMAGE),
    (b"GIF87a", Format.IMAGE),
    (b"GIF89a", Format.IMAGE),
    (b"II*\x00", Format.IMAGE),
    (b"MM\x00*", Format.IMAGE),
    (b"{\\rtf", Format.LEGACY),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ROOT = re.compile(rb"<!doctype\s+html|<(?:html|head|body|table|div|meta)\b", re.I)
_PACKAGE_PARTS = (
    ("word/document.xml", Format.DOCX),
    ("xl/workbook.xml", Format.SHEET),
    ("xl/workbook.bin", Format.SHEET),
    ("ppt/presentation.xml", Format.PPTX),
    ("META-INF/container.xml", Format.EPUB),
)
_MIME_ENTRIES = (
    (b"application/epub+zip", Format.EPUB),
    (b"application/vnd.oasis.opendocument.spreadsheet", Format.SHEET),
    (b"application/vnd.oasis.opendocument.", Format.ODF),
)


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
    if task.format in (Format.CSV, Format.HTML) and _texty(head):
        return task.format
    raise PermanentError(f"{task.name} cannot be read as {task.format}: its content is damaged or of another kind")


def legacy_suffix(path: Path) -> str:
    """Return the suffix by which LibreOffice, which goes by names, reads a file of Format.LEGACY."""
    with path.open("rb") as file:
        if file.read(len(_OLE)) != _OLE:
            return ".rtf"
        return ".ppt" if "PowerPoint Document" in _streams(file) else ".doc"


def _texty(head: bytes) -> bool:
    return head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" not in head


def _sniff(file: BinaryIO, head: bytes, task: Task) -> Format | None:
    if b"%PDF-" in head[:1024]:
        return Format.PDF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format.IMAGE
    if head.startswith(_ZIP):
        return _sniff_archive(file, task)
    if head.startswith(_OLE):
        return _sniff_compound(file, task.name)
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if task.format is not Format.CSV and _ROOT.match(head, prolog_bytes(head)):
        return Format.HTML
    return None


def _sniff_archive(file: BinaryIO, task: Task) -> Format | None:
    try:
        with ZipFile(file) as archive:
            check_directory(archive, task.name, task.limits)
            names = set(archive.namelist())
            kind = read_member(archive, "mimetype", _MIMETYPE_BYTES) if "mimetype" in names else None
    except (BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise PermanentError(f"{task.name} is damaged: its archive cannot be opened ({error})") from error
    for prefix, found in _MIME_ENTRIES:
        if kind is not None and kind.startswith(prefix):
            return found
    return next((found for part, found in _PACKAGE_PARTS if part in names), None)


def _sniff_compound(file: BinaryIO, name: str) -> Format | None:
    """Tell the kinds of Office 97-2003 files apart by their stream names, which stand in the file as UTF-16."""
    found = _streams(file)
    if "EncryptedPackage" in found:
        raise PermanentError(f"{name} is encrypted: save it without a password")
    if "WordDocument" in found or "PowerPoint Document" in found:
        return Format.LEGACY
    if "Workbook" in found or "Book" in found:
        return Format.SHEET
    return None


def _streams(file: BinaryIO) -> set[str]:
    """Return which of the telling stream names stand in the file; reads it block by block."""
    wanted = {name: name.encode("utf-16-le") for name in _STREAMS}
    found: set[str] = set()
    kept = b""
    file.seek(0)
    while block := file.read(_BLOCK_BYTES):
        kept += block
        found |= {name for name, encoded in wanted.items() if encoded in kept}
        kept = kept[-_HEAD_BYTES:]
    return found
