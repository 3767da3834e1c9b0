"""HTML files, whole, and the pictures in them; `syncd.html` makes the Markdown."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from syncd.errors import PermanentError
from syncd.html.charset import declares, guessed
from syncd.html.whole_document import TooDeepError, whole_document
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.task import DocumentLimits, Markdown, ParsedPiece, Task

_PICTURE = re.compile(r"!\[([^\]]{0,1000})\]\(<?([^()\s>]*)>?(?:\s[^)]{0,300})?\)")  # linear on any text


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the page. Raises PermanentError when nested too deeply or when nothing comes out."""
    page = task.path.read_bytes()
    encoding = "" if declares(page) else guessed(page)
    if encoding:
        task.warn("encoding_guessed", f"it does not say how it is encoded and was read as {encoding}")
    markdown = html_to_markdown(page, task.name, task.limits, encoding)
    out = Markdown(task.limits)
    yield from with_pictures(markdown, out, Pictures(task), inline_picture)
    yield out.take()


def with_pictures(
    markdown: str, out: Markdown, pictures: Pictures, load: Callable[[str], bytes | None]
) -> Iterator[ParsedPiece]:
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


def inline_picture(address: str) -> bytes | None:
    """Return a picture that stands in the page itself, None for another address."""
    head, _, data = address.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        return None
    try:
        return b64decode(unquote(data))
    except ValueError:
        return None


def html_to_markdown(page: bytes, name: str, limits: DocumentLimits, encoding: str = "") -> str:
    """Return the Markdown of an HTML page. Raises PermanentError when it is nested too deeply."""
    max_depth = limits.nesting * 2
    try:
        return whole_document(page, max_depth, encoding)
    except TooDeepError as error:
        raise PermanentError(f"{name} is nested over {max_depth} levels deep: it was not read") from error
