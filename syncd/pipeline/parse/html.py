"""HTML pages as Markdown, whole: chrome is for the crawler to take away, not for a file its owner chose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from html_to_markdown import ConversionOptions, convert

from syncd.errors import PermanentError
from syncd.pipeline.parse.task import DocumentLimits, Markdown, Piece, Task

_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I)
_HEAD_BYTES = 4096
_TAG = re.compile(
    r"<(/?)(div|table|ul|ol|blockquote|section|article|span|dl|main|header|footer|nav|form|font|b|i)\b", re.I
)
_SPAN = re.compile(r"""\b(col|row)span\s*=\s*["']?\s*(\d{4,})""", re.I)
_OPTIONS = ConversionOptions(extract_metadata=False, escape_misc=False, compact_tables=True)
_DATA_URL = re.compile(r"!\[([^\]]*)\]\(data:[^)]*\)")


def read(task: Task) -> Iterator[Piece]:
    """Yield the page as one part. Raises PermanentError when nested too deeply or when nothing comes out."""
    markdown = to_markdown(decode(task.path.read_bytes()), task.name, task.limits)
    out = Markdown(task.limits)
    out.block(markdown)
    yield out.take()


def decode(data: bytes) -> str:
    """Return a page's text: by byte order mark, by what it says of itself, else UTF-8, else Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    named = _CHARSET.search(data[:_HEAD_BYTES])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode(named[1].decode("ascii") if named else "cp1252", "replace")
    except LookupError:
        return data.decode("cp1252", "replace")


def to_markdown(page: str, name: str, limits: DocumentLimits) -> str:
    """Return the Markdown of an HTML page. Raises PermanentError when it is nested too deeply."""
    if depth_of(page) > limits.nesting * 2:
        raise PermanentError(f"{name} is nested over {limits.nesting * 2} levels deep: it was not read")
    page = _SPAN.sub(r'\1span="1', page)
    try:
        text = convert(page, _OPTIONS).content or ""
    except (RuntimeError, ValueError) as error:
        raise PermanentError(f"{name} cannot be read as HTML: {error}") from error
    text = _DATA_URL.sub(r"![\1]()", text)
    return text if text.strip() else _bare_text(page)


def depth_of(page: str) -> int:
    """Return how deep containers are nested, the deepest of any one kind of tag."""
    depths: dict[str, int] = {}
    deepest = 0
    for match in _TAG.finditer(page):
        tag = match[2].lower()
        depths[tag] = max(depths.get(tag, 0) + (-1 if match[1] else 1), 0)
        deepest = max(deepest, depths[tag])
    return deepest


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data.strip())


def _bare_text(page: str) -> str:
    """Return a page's words without structure, for pages the converter makes nothing of."""
    reader = _Words()
    reader.feed(page)
    return "\n\n".join(filter(None, reader.words))
