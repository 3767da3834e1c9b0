"""Which reader a document gets: decided by its suffix, confirmed by its first bytes and, for archives, their listing."""

from __future__ import annotations

import re
import zlib
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from syncd.errors import PermanentError

_HEAD_BYTES = 4096
_BLOCK_BYTES = 1 << 20
_STREAMS = ("EncryptedPackage", "WordDocument", "PowerPoint Document", "Workbook", "Book")


class Format(StrEnum):
    """A family of documents with one reader."""

    PDF = "PDF"
    DOCX = "Word document"
    PPTX = "PowerPoint presentation"
    SHEET = "spreadsheet"
    CSV = "CSV table"
    ODF = "OpenDocument text or presentation"
    HTML = "HTML page"
    EPUB = "EPUB book"
    IMAGE = "image"
    LEGACY = "Word or PowerPoint 97-2003 file"


SUFFIXES: dict[str, Format] = {
    ".pdf": Format.PDF,
    ".doc": Format.LEGACY,
    ".docx": Format.DOCX,
    ".odt": Format.ODF,
    ".xls": Format.SHEET,
    ".xlsx": Format.SHEET,
    ".xlsm": Format.SHEET,
    ".xltx": Format.SHEET,
    ".csv": Format.CSV,
    ".ods": Format.SHEET,
    ".ppt": Format.LEGACY,
    ".pptx": Format.PPTX,
    ".odp": Format.ODF,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".epub": Format.EPUB,
    ".png": Format.IMAGE,
    ".jpg": Format.IMAGE,
    ".jpeg": Format.IMAGE,
    ".webp": Format.IMAGE,
    ".gif": Format.IMAGE,
    ".tiff": Format.IMAGE,
    ".tif": Format.IMAGE,
}
"""Every suffix that is not read as plain text."""

MARKDOWN_SUFFIX = ".md"

MEDIA_TYPES: dict[str, str] = {
    "application/pdf": ".pdf",
    "application/msword": ".doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "text/csv": ".csv",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.presentation": ".odp",
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/epub+zip": ".epub",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/tiff": ".tiff",
    "text/markdown": MARKDOWN_SUFFIX,
}

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
_HTML = re.compile(
    rb"\s*(<\?xml[^>]*>\s*|<!--.{0,2000}?-->\s*)*(<!doctype\s+html|<(html|head|body|table|div|meta)\b)", re.I | re.S
)
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


def suffix_of(name: str, media_type: str | None) -> str:
    """Return the lower-case suffix that decides how `name` is read; without one the media type stands in. '' if neither."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    if suffix or not media_type:
        return suffix
    return MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower(), "")


def confirm(file: BinaryIO, suffix: str, name: str) -> Format:
    """Return the format the content has, which may differ from what `suffix` (one of SUFFIXES) promises.

    Raises PermanentError when the file is empty, encrypted, or nothing that suffix can hold. Leaves the position at 0.
    """
    claimed = SUFFIXES[suffix]
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    found = _sniff(file, head, name, claimed) if head else None
    file.seek(0)
    if not head.strip(b"\0 \t\r\n"):
        raise PermanentError(f"{name} is empty ({'0 bytes' if not head else 'nothing but blanks'})")
    if found is not None:
        return found
    if claimed in (Format.CSV, Format.HTML) and b"\0" not in head.replace(b"\xff\xfe", b"")[:1] and _texty(head):
        return claimed
    raise PermanentError(f"{name} cannot be read as {claimed}: its content is damaged or of another kind")


def _texty(head: bytes) -> bool:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return b"\0" not in head


def _sniff(file: BinaryIO, head: bytes, name: str, claimed: Format) -> Format | None:
    if b"%PDF-" in head[:1024]:
        return Format.PDF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format.IMAGE
    if head.startswith(_ZIP):
        return _sniff_archive(file, name)
    if head.startswith(_OLE):
        return _sniff_compound(file, name)
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if claimed is not Format.CSV and _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        return Format.HTML
    return None


def _sniff_archive(file: BinaryIO, name: str) -> Format | None:
    try:
        with ZipFile(file) as archive:
            names = set(archive.namelist())
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                kind = archive.read("mimetype")
                for prefix, found in _MIME_ENTRIES:
                    if kind.startswith(prefix):
                        return found
    except (BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise PermanentError(f"{name} is damaged: its archive cannot be opened ({error})") from error
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
