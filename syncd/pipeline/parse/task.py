"""What a document's reader is asked to do, its limits, and the pieces of text it makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from syncd.errors import PermanentError
from syncd.json_types import JsonObject
from syncd.model import LineMark, PageMark, Part, TextKind, WarningCode, Warnings
from syncd.model.formats import Format, format_named
from syncd.model.limits import MAX_DOCUMENT_SIZE_BYTES

OUT_OF_MEMORY = 86
"""Exit status of a parser process that hit its memory limit; what is left of such a process is not trusted."""

PAGES_PER_PART = 100
"""A PDF is parsed in windows of this many pages: liteparse 2.18 stops at 1,000 without a word, and memory stays flat."""


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """What one document may be and become; over any of them it fails with that reason. Measured in bytes unless named."""

    size_bytes: int = MAX_DOCUMENT_SIZE_BYTES
    pages: int = 7_000
    expanded_bytes: int = 1 << 30
    """Sum of an archive's members, unpacked."""
    expansion: int = 200
    """How many times its packed size a member over 32 MiB may grow."""
    members: int = 50_000
    text_bytes: int = 256 << 20
    nesting: int = 256
    pixels: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Ocr:
    """How scans and pictures are read. `languages` are Tesseract's names; RapidOCR reads Chinese and Latin script as is."""

    enabled: bool = True
    languages: tuple[str, ...] = ("eng",)
    min_confidence: float = 0.6
    min_side_pixels: int = 100
    """Smaller pictures inside documents are ornaments and not read."""


@dataclass(frozen=True, slots=True)
class Task:
    """One document to read. `name` is for messages, `pictures` asks for picture bytes beside the text.

    `format` is what the name promises until `sniff` has looked at the content.
    """

    path: Path
    name: str
    format: Format
    limits: DocumentLimits = field(default_factory=DocumentLimits)
    ocr: Ocr = field(default_factory=Ocr)
    converter: str = "builtin"
    pictures: bool = False
    models: Path | None = None
    """Where the docling converter finds its models."""
    warnings: Warnings = field(default_factory=Warnings, compare=False)
    """What its reader guesses or leaves out."""

    def warn(self, code: WarningCode, message: str, count: int = 1) -> None:
        """Tell the document's owner what is guessed, approximated or left out."""
        self.warnings.add(code, message, count)

    def header(self) -> JsonObject:
        """Return the task as JSON values."""
        return {
            "path": str(self.path),
            "name": self.name,
            "format": self.format.name,
            "limits": asdict(self.limits),
            "ocr": asdict(self.ocr),
            "converter": self.converter,
            "pictures": self.pictures,
            "models": self.models and str(self.models),
        }

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Task:
        """Return the task `header()` describes."""
        ocr = Ocr(**header["ocr"])
        return cls(
            Path(header["path"]),
            header["name"],
            format_named(header["format"]),
            DocumentLimits(**header["limits"]),
            replace(ocr, languages=tuple(ocr.languages)),
            header["converter"],
            header["pictures"],
            Path(header["models"]) if header["models"] else None,
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture met in a document, to be described where it stood; never stored."""

    at_byte: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ParsedPiece:
    """A part and the pictures in it."""

    part: Part
    pictures: tuple[Picture, ...] = ()


class Markdown:
    """Grows the text of one part block by block, remembering where pages begin."""

    def __init__(self, limits: DocumentLimits) -> None:
        self._limits = limits
        self._blocks: list[str] = []
        self._marks: list[PageMark] = []
        self._lines: list[LineMark] = []
        self._pictures: list[Picture] = []
        self._size_bytes = 0
        self._total_bytes = 0

    @property
    def size_bytes(self) -> int:
        """How much text this part holds so far."""
        return self._size_bytes

    def block(self, text: str) -> None:
        """Append one Markdown block, followed by a blank line; blank text is left out.

        Raises PermanentError when the document's text grows over its limit.
        """
        if not text.strip():
            return
        self._append(storable_text(text).strip("\n") + "\n\n")

    def _append(self, text: str) -> None:
        size_bytes = len(text.encode())
        self._size_bytes += size_bytes
        self._total_bytes += size_bytes
        if self._total_bytes > self._limits.text_bytes:
            raise PermanentError(f"the document contains over {self._limits.text_bytes >> 20} MiB of text: split it")
        self._blocks.append(text)

    def rows(self, rows: str, header: str) -> None:
        """Go on with the table that the last block ends with; a page that has begun since begins with these rows.

        Where a new part has begun meanwhile, they stand there below their header. Raises PermanentError as `block` does.
        """
        if not self._blocks:
            self.block(f"{header}\n{rows}")
            return
        self._blocks[-1] = self._blocks[-1][:-1]
        self._size_bytes -= 1
        self._total_bytes -= 1
        self._marks = [replace(mark, start_byte=min(mark.start_byte, self._size_bytes)) for mark in self._marks]
        self.block(rows)

    def blocks(self, texts: Iterable[str]) -> None:
        """Append several blocks."""
        for text in texts:
            self.block(text)

    def page(self, number: int, label: str = "") -> None:
        """Say that what follows stands on page `number`. Raises PermanentError beyond the page limit."""
        if number > self._limits.pages:
            raise PermanentError(f"the document has over {self._limits.pages:,} pages: split it")
        if self._pictures and self._pictures[-1].at_byte == self._size_bytes:
            # At the same byte as the mark, a picture would be described on this page instead of its own.
            self._append("\n")
        self._marks.append(PageMark(self._size_bytes, number, label))

    def line(self, first: int, last: int, after_bytes: int = 0) -> None:
        """Say that what follows, from `after_bytes` on, stands on these lines of the file."""
        self._lines.append(LineMark(self._size_bytes + after_bytes, first, last))

    def picture(self, data: bytes) -> None:
        """Ask for a description of `data` at this place."""
        self._pictures.append(Picture(self._size_bytes, data))

    def take(self, title: str = "", kind: TextKind = "markdown") -> ParsedPiece:
        """Return the text added since the last call, and start a new part."""
        part = Part("".join(self._blocks), kind, tuple(self._marks), title, tuple(self._lines))
        piece = ParsedPiece(part, tuple(self._pictures))
        self._blocks, self._marks, self._lines, self._pictures, self._size_bytes = [], [], [], [], 0
        return piece


def storable_text(text: str) -> str:
    """Return `text` without what no store can hold: NUL and lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
