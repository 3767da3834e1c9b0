"""Which format a name promises, by its suffix or its media type; what the bytes are is `sniff`'s to say, in the jail."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath


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
    MARKDOWN = "Markdown"
    TEXT = "text"

    @property
    def is_text(self) -> bool:
        """Whether it is read as it stands; what has another format has to be parsed."""
        return self in (Format.TEXT, Format.MARKDOWN)


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

_MARKDOWN_SUFFIX = ".md"

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
    "text/markdown": _MARKDOWN_SUFFIX,
}


def suffix_of(name: str, media_type: str | None) -> str:
    """Return the lower-case suffix that decides how `name` is read; without one the media type stands in. '' if neither."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    if suffix or not media_type:
        return suffix
    return MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower(), "")


def format_of(name: str, media_type: str | None) -> Format:
    """Return what a document's name, or without a suffix its media type, promises."""
    suffix = suffix_of(name, media_type)
    return Format.MARKDOWN if suffix == _MARKDOWN_SUFFIX else SUFFIXES.get(suffix, Format.TEXT)
