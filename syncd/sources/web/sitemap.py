"""Reads sitemaps (sitemaps.org 0.9) as a stream: index, URL set or plain text, gzipped or not, never expanding entities."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import NoReturn
from xml.parsers import expat

from syncd.runtime.headers import plausible_date
from syncd.sources.web.content_coding import GZIP_MAGIC

MAX_URLS = 50_000
"""The protocol's own limit for one file."""
PIECE_BYTES = 64 << 10
MAX_TEXT_CHARS = 4096
XML_MAX_DEPTH = 16
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ROOTS = frozenset({"urlset", "sitemapindex"})
FEEDS = frozenset({"rss", "feed", "rdf"})
BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)")


class SitemapError(Exception):
    """The file could not be read completely: it is broken, hostile, too long or unavailable."""


class NoSitemapError(SitemapError):
    """The response is not a sitemap but, for example, an error page or empty."""


class FeedError(NoSitemapError):
    """It is an RSS or Atom feed, which lists only new pages."""


class MalformedError(SitemapError):
    """It begins as a sitemap but is not well-formed XML."""


@dataclass(frozen=True, slots=True)
class SitemapEntry:
    """One `<url>` or `<sitemap>`."""

    location: str
    modified_at: datetime | None = None
    is_sitemap: bool = False


def read_sitemap(data: bytes, max_size_bytes: int) -> Iterator[SitemapEntry]:
    """Yield the entries of one sitemap file, at most 50,000.

    Raises SitemapError if that is not all of them: the file is broken, declares entities, unpacks to more than
    `max_size_bytes` or lists more; entries yielded before are valid. An unescaped `&` hides no entry, but is still
    an error. Raises NoSitemapError if it is not a sitemap.
    """
    pieces = decompressed(data, max_size_bytes)
    first = next(pieces, b"")
    start = first.removeprefix(codecs.BOM_UTF8).lstrip()
    if not start:
        raise NoSitemapError("empty")
    if start.startswith((b"<", *UTF16_MARKS)):
        yield from xml_or_mended(chain((start,), pieces), data, max_size_bytes)
    else:
        yield from text_entries(first + b"".join(pieces))


def decompressed(data: bytes, max_size_bytes: int) -> Iterator[bytes]:
    """Yield `data` in pieces, gunzipped where it is gzip. Raises SitemapError beyond the limit."""
    total = 0
    file = gzip.GzipFile(fileobj=io.BytesIO(data)) if data.startswith(GZIP_MAGIC) else io.BytesIO(data)
    while True:
        try:
            piece = file.read(PIECE_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise SitemapError(f"invalid gzip data ({error})") from error
        if not piece:
            return
        total += len(piece)
        if total > max_size_bytes:
            raise SitemapError(f"decompresses to more than {max_size_bytes} bytes")
        yield piece


def text_entries(data: bytes) -> Iterator[SitemapEntry]:
    """Read the plain form: one URL a line. Raises NoSitemapError for a text without any."""
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
    found = [line for line in lines if line.startswith(("http://", "https://"))]
    if not found:
        raise NoSitemapError("lists no URLs")
    yield from map(SitemapEntry, found[:MAX_URLS])
    if len(found) > MAX_URLS:
        raise too_many()


def xml_or_mended(pieces: Iterable[bytes], data: bytes, max_size_bytes: int) -> Iterator[SitemapEntry]:
    """Read XML; if it is malformed, read it again with ampersands escaped, and raise the original error at the end."""
    read = 0
    try:
        for entry in xml_entries(pieces):
            read += 1
            yield entry
    except MalformedError as error:
        whole = b"".join(decompressed(data, max_size_bytes)).removeprefix(codecs.BOM_UTF8).lstrip()
        mended = BARE_AMPERSAND.sub(b"&amp;", whole)
        if mended == whole:
            raise
        yield from islice(xml_entries([mended]), read, None)
        raise MalformedError(f"{error}; every '&' was read as '&amp;'") from error


def xml_entries(pieces: Iterable[bytes]) -> Iterator[SitemapEntry]:
    """Feed expat piece by piece and yield what is complete."""
    reader = SitemapReader()
    count = 0
    for piece, last in chain(((piece, False) for piece in pieces), [(b"", True)]):
        for entry in reader.feed(piece, last=last):
            count += 1
            if count > MAX_URLS:
                raise too_many()
            yield entry
        if reader.error is not None:
            raise reader.error


def too_many() -> SitemapError:
    """Return the error for a file with more than the permitted entries."""
    return SitemapError(f"lists more than {MAX_URLS} pages; the rest is ignored")


class SitemapReader:
    """An expat parser that collects `<loc>` and `<lastmod>` of `<url>` and `<sitemap>`, whatever the namespace prefix."""

    def __init__(self) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.error: SitemapError | None = None
        """Why nothing more can be read."""
        self._parser = parser
        self._began = False
        self._path: list[str] = []
        self._fields: dict[str, str] = {}
        self._ready: list[SitemapEntry] = []

    def feed(self, data: bytes, *, last: bool = False) -> list[SitemapEntry]:
        """Parse on and return the entries completed; those before an `error`, too."""
        try:
            self._parser.Parse(data, last)
        except SitemapError as error:
            self.error = error
        except (expat.ExpatError, LookupError, ValueError) as error:
            # The last two: the file names an encoding that Python does not know, or that is not a text encoding.
            kind = MalformedError if self._began else NoSitemapError
            self.error = kind(f"it is not well-formed XML ({error})"[:300])
        ready, self._ready = self._ready, []
        return ready

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2].lower()
        if not self._path and local not in ROOTS:
            kind = FeedError if local in FEEDS else NoSitemapError
            raise kind(f"it is not a sitemap but <{local[:40]}>")
        if len(self._path) >= XML_MAX_DEPTH:
            raise SitemapError(f"nested deeper than {XML_MAX_DEPTH} elements")
        self._began = True
        self._path.append(local)
        if len(self._path) == 2:
            self._fields = {}

    def _text(self, data: str) -> None:
        if len(self._path) == 3 and self._path[2] in ("loc", "lastmod"):
            text = self._fields.get(self._path[2], "") + data
            self._fields[self._path[2]] = text[:MAX_TEXT_CHARS]

    def _end(self, name: str) -> None:
        local = self._path.pop()
        if len(self._path) == 1 and local in ("url", "sitemap") and (text := self._fields.get("loc", "").strip()):
            self._ready.append(SitemapEntry(text, sitemap_date(self._fields.get("lastmod", "")), local == "sitemap"))

    def _entity(self, *_: object) -> NoReturn:
        raise SitemapError("declares entities, which sitemaps must not")


def sitemap_date(text: str) -> datetime | None:
    """Return a W3C date; None if it is invalid or implausible (.NET's default is 0001-01-01)."""
    try:
        return plausible_date(datetime.fromisoformat(text.strip())) if text.strip() else None
    except ValueError:
        return None
