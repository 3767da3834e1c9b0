"""HTML pages as Markdown, whole: chrome is for the crawler to take away, not for a file its owner chose."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from urllib.parse import unquote

from html_to_markdown import ConversionOptions, convert

from syncd.errors import PermanentError
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.task import DocumentLimits, Markdown, Piece, Task

_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*(?:["']\s*)?([\w.:-]{2,40})""", re.I)
_HEAD_BYTES = 4096
_TAG = re.compile(
    r"<(/?)(div|table|ul|ol|blockquote|section|article|span|dl|main|header|footer|nav|form|font|b|i)\b", re.I
)
_SPAN = re.compile(r"""\b(col|row)span\s*=\s*(?:["']\s*)?(\d{4,})""", re.I)
_OPTIONS = ConversionOptions(extract_metadata=False, escape_misc=False, compact_tables=True)
_PICTURE = re.compile(r"!\[([^\]]{0,1000})\]\(<?([^()\s>]*)>?(?:\s[^)]{0,300})?\)")  # linear on any text


def read(task: Task) -> Iterator[Piece]:
    """Yield the page. Raises PermanentError when nested too deeply or when nothing comes out."""
    markdown = to_markdown(decode(task.path.read_bytes()), task.name, task.limits)
    out = Markdown(task.limits)
    yield from with_pictures(markdown, out, Pictures(task), _inline_picture)
    yield out.take()


def with_pictures(
    markdown: str, out: Markdown, pictures: Pictures, load: Callable[[str], bytes | None]
) -> Iterator[Piece]:
    """Add `markdown` to `out`, pictures replaced by their words; yield parts only where many pictures were looked at.

    `load` returns a picture by its address, None when it is not in the document: then its alt text and address stay.
    """

    def words(found: re.Match[str]) -> str:
        data = load(found[2])
        if data is not None:
            return pictures.words(data, found[1])
        return f"![{found[1]}]()" if found[2].startswith("data:") else found[0]

    at = 0
    while (found := _PICTURE.search(markdown, at)) is not None:
        end = markdown.find("\n\n", found.end())
        end = len(markdown) if end < 0 else end
        out.block(_PICTURE.sub(words, markdown[at:end]))
        for taken in pictures.taken():
            out.picture(taken)
        if pictures.tiring():
            yield out.take()
        at = end
    out.block(markdown[at:])


def _inline_picture(address: str) -> bytes | None:
    """Return a picture that stands in the page itself."""
    head, _, data = address.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        return None
    try:
        return b64decode(unquote(data))
    except ValueError:
        return None


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
