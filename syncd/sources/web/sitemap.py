"""Reads sitemaps (sitemaps.org 0.9) as a stream: index, URL set or plain text, gzipped or not, never expanding entities."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import NoReturn
from xml.parsers import expat

MAX_URLS = 50_000
"""The protocol's own limit for one file."""
PIECE_BYTES = 64 << 10
MAX_TEXT_CHARS = 4096
MAX_DEPTH = 16
GZIP_MAGIC = b"\x1f\x8b"


class SitemapError(Exception):
    """The file is no sitemap, or a hostile one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One `<url>` or `<sitemap>`."""

    location: str
    modified_at: datetime | None = None
    is_sitemap: bool = False


def read_sitemap(data: bytes, max_size_bytes: int) -> Iterator[Entry]:
    """Yield the entries of one sitemap file, at most 50,000.

    Raises SitemapError when it is broken, declares entities, or unpacks to more than `max_size_bytes`; what was
    yielded before counts.
    """
    pieces = unpacked(data, max_size_bytes)
    first = next(pieces, b"")
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        yield from xml_entries(start, pieces)
    else:
        yield from text_entries(first + b"".join(pieces))


def unpacked(data: bytes, max_size_bytes: int) -> Iterator[bytes]:
    """Yield `data` in pieces, gunzipped where it is gzip. Raises SitemapError beyond the limit."""
    total = 0
    file = gzip.GzipFile(fileobj=io.BytesIO(data)) if data.startswith(GZIP_MAGIC) else io.BytesIO(data)
    while True:
        try:
            piece = file.read(PIECE_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise SitemapError(f"its gzip data is broken ({error})") from error
        if not piece:
            return
        total += len(piece)
        if total > max_size_bytes:
            raise SitemapError(f"it unpacks to more than {max_size_bytes} bytes")
        yield piece


def text_entries(data: bytes) -> Iterator[Entry]:
    """Read the plain form: one URL a line."""
    for line in data.decode("utf-8-sig", "replace").splitlines()[:MAX_URLS]:
        text = line.strip()
        if text.startswith(("http://", "https://")):
            yield Entry(text)


def xml_entries(first: bytes, rest: Iterator[bytes]) -> Iterator[Entry]:
    """Feed expat piece by piece and yield what is complete."""
    reader = Reader()
    count = 0
    for piece in chain((first,), rest):
        for entry in reader.feed(piece):
            count += 1
            if count > MAX_URLS:
                return
            yield entry
    yield from reader.feed(b"", last=True)


class Reader:
    """An expat parser that collects `<loc>` and `<lastmod>` of `<url>` and `<sitemap>`, whatever the namespace prefix."""

    def __init__(self) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._parser = parser
        self._path: list[str] = []
        self._fields: dict[str, str] = {}
        self._ready: list[Entry] = []

    def feed(self, data: bytes, *, last: bool = False) -> list[Entry]:
        """Parse on and return the entries completed. Raises SitemapError."""
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise SitemapError(f"it is not well-formed XML ({error})") from error
        ready, self._ready = self._ready, []
        return ready

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise SitemapError(f"it nests deeper than {MAX_DEPTH} elements")
        self._path.append(name.rpartition(":")[2].lower())
        if len(self._path) == 2:
            self._fields = {}

    def _text(self, data: str) -> None:
        if len(self._path) == 3 and self._path[2] in ("loc", "lastmod"):
            text = self._fields.get(self._path[2], "") + data
            self._fields[self._path[2]] = text[:MAX_TEXT_CHARS]

    def _end(self, name: str) -> None:
        local = self._path.pop()
        if len(self._path) == 1 and local in ("url", "sitemap") and (text := self._fields.get("loc", "").strip()):
            self._ready.append(Entry(text, moment(self._fields.get("lastmod", "")), local == "sitemap"))

    def _entity(self, *_: object) -> NoReturn:
        raise SitemapError("it declares entities, which no sitemap needs")


def moment(text: str) -> datetime | None:
    """Read a W3C date; None where it is none."""
    try:
        return datetime.fromisoformat(text.strip()) if text.strip() else None
    except ValueError:
        return None
