"""The table of document formats: their file names, how their content is recognised, and which module reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_HTML_ENGINE = "html 4"
"""Version of the Markdown that `syncd.html` makes of HTML files and of EPUB chapters."""


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """A family of documents with one reader. Any of the given rules recognises its content."""

    name: str
    """Display name; unique."""
    suffixes: Mapping[str, tuple[str, ...]]
    """Lower-case suffixes, each with the media types that stand for it where a name has none."""
    reader: str = ""
    """The module of `syncd.pipeline.parse` whose `read` takes the content; '' if none does."""
    magic: tuple[bytes, ...] = ()
    """What a file begins with."""
    package_parts: tuple[str, ...] = ()
    """ZIP members that only such files have."""
    mimetypes: tuple[bytes, ...] = ()
    """What the ZIP member `mimetype` begins with; of several formats the longest beginning counts."""
    streams: tuple[str, ...] = ()
    """Streams of a compound (OLE) file that only such files have."""
    is_any_text: bool = False
    """Whether any text under such a name is taken for one, since nothing in it could tell."""
    is_text: bool = False
    """Whether it is read as it stands; everything else has to be parsed."""
    version: str = ""
    """Raise it when the reader's result for the same bytes changes; documents of this format are then prepared again."""
    docling: str = ""
    """The suffix under which the optional converter accepts it; '' if it does not."""


PDF = Format("PDF", {".pdf": ("application/pdf",)}, "pdf", version="structure 2", docling=".pdf")
HTML = Format(
    "HTML page",
    {".html": ("text/html",), ".htm": (), ".xhtml": ("application/xhtml+xml",), ".xht": ()},
    "html",
    is_any_text=True,
    version=_HTML_ENGINE,
    docling=".html",
)
IMAGE = Format(
    "image",
    {
        ".png": ("image/png",),
        ".jpg": ("image/jpeg",),
        ".jpeg": (),
        ".webp": ("image/webp",),
        ".gif": ("image/gif",),
        ".tiff": ("image/tiff",),
        ".tif": (),
    },
    "image",
    version="as seen 2",
    magic=(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*"),
    docling=".png",
)
CSV = Format(
    "CSV table",
    {".csv": ("text/csv",), ".tsv": ("text/tab-separated-values",), ".tab": ()},
    "delimited",
    is_any_text=True,
    version="lines 2",
)
LEGACY = Format(
    "Word or PowerPoint 97-2003 file",
    {".doc": ("application/msword",), ".dot": (), ".ppt": ("application/vnd.ms-powerpoint",), ".pps": (), ".pot": ()},
    streams=("WordDocument", "PowerPoint Document"),
    version="templates 1",
)
RTF = Format("RTF text", {".rtf": ("application/rtf", "text/rtf")}, "rtf", magic=(b"{\\rtf",), version="read 1")
MAIL = Format("mail", {".eml": ("message/rfc822",)}, "eml", is_any_text=True, version="read 2")
WEB_ARCHIVE = Format(
    "web archive",
    {".mht": ("multipart/related",), ".mhtml": ("application/x-mimearchive",)},
    "mhtml",
    is_any_text=True,
    version="read 1",
)
OUTLOOK = Format(
    "Outlook message",
    {".msg": ("application/vnd.ms-outlook",), ".oft": ()},
    "msg",
    streams=("__properties_version1.0",),
    version="read 1",
)
MARKDOWN = Format("Markdown", {".md": ("text/markdown",)}, "text", is_text=True)
TEXT = Format(
    "text",
    {
        ".txt": ("text/plain",),
        ".rst": ("text/x-rst",),
        ".org": ("text/org",),
        ".adoc": ("text/asciidoc",),
        ".tex": ("text/x-tex", "application/x-tex"),
    },
    "text",
    is_text=True,
)
"""What has no other format."""

FORMATS: tuple[Format, ...] = (
    PDF,
    LEGACY,
    Format(
        "Word document",
        {".docx": (_OFFICE + "wordprocessingml.document",), ".docm": (), ".dotx": (), ".dotm": ()},
        "docx",
        package_parts=("word/document.xml",),
        version="numbers 3",
        docling=".docx",
    ),
    Format(
        "spreadsheet",
        {
            ".xls": ("application/vnd.ms-excel",),
            ".xlsx": (_OFFICE + "spreadsheetml.sheet",),
            ".xlsm": (),
            ".xltx": (),
            ".xltm": (),
            ".xlsb": (),
            ".xlt": (),
            ".ots": (),
            ".ods": (_OPEN_DOCUMENT + "spreadsheet",),
            ".fods": (_OPEN_DOCUMENT + "spreadsheet-flat-xml",),
        },
        "sheets",
        package_parts=("xl/workbook.xml", "xl/workbook.bin"),
        mimetypes=(_OPEN_DOCUMENT.encode() + b"spreadsheet",),
        version="areas 3",
        streams=("Workbook", "Book"),
    ),
    Format(
        "PowerPoint presentation",
        {
            ".pptx": (_OFFICE + "presentationml.presentation",),
            ".pptm": (),
            ".ppsx": (),
            ".ppsm": (),
            ".potx": (),
            ".potm": (),
        },
        "pptx",
        package_parts=("ppt/presentation.xml",),
        version="links 2",
        docling=".pptx",
    ),
    Format(
        "OpenDocument text or presentation",
        {
            ".odt": (_OPEN_DOCUMENT + "text",),
            ".ott": (),
            ".fodt": (_OPEN_DOCUMENT + "text-flat-xml",),
            ".odp": (_OPEN_DOCUMENT + "presentation",),
            ".otp": (),
            ".fodp": (_OPEN_DOCUMENT + "presentation-flat-xml",),
        },
        "odf",
        version="links 3",
        mimetypes=(_OPEN_DOCUMENT.encode(),),
    ),
    Format(
        "EPUB book",
        {".epub": ("application/epub+zip",)},
        "epub",
        package_parts=("META-INF/container.xml",),
        mimetypes=(b"application/epub+zip",),
        version=_HTML_ENGINE,
    ),
    Format("notebook", {".ipynb": ("application/x-ipynb+json",)}, "notebook", is_any_text=True, version="cells 2"),
    CSV,
    RTF,
    MAIL,
    WEB_ARCHIVE,
    OUTLOOK,
    HTML,
    IMAGE,
    MARKDOWN,
    TEXT,
)
"""All formats; if two recognise the same content, the first one is used."""


def media_types() -> dict[str, str]:
    """Return the file suffix of each known media type."""
    return {media: suffix for each in FORMATS for suffix, types in each.suffixes.items() for media in types}


def document_suffixes() -> frozenset[str]:
    """Return every suffix that is not read as plain text."""
    return frozenset(suffix for each in FORMATS if not each.is_text for suffix in each.suffixes)


def format_of(name: str, media_type: str | None) -> Format:
    """Return the format by a document's name, or by its media type if the name has no suffix; the content is not checked."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    if not suffix and media_type:
        suffix = media_types().get(media_type.partition(";")[0].strip().lower(), "")
    return next((each for each in FORMATS if suffix in each.suffixes), TEXT)


def readers_fingerprint() -> str:
    """Return what changes whenever the reader of any format does."""
    return " ".join(f"{format_.name}={format_.version}" for format_ in FORMATS if format_.version)


def format_named(name: str) -> Format:
    """Return the format of that name. Raises KeyError when there is none."""
    return {each.name: each for each in FORMATS}[name]
