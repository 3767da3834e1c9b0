"""Web archives (MHTML, RFC 2557): the page that was saved, with its pictures and the frames that it consists of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.parser import BytesParser
from email.policy import compat32
from urllib.parse import urljoin

from syncd.errors import PermanentError
from syncd.pipeline.parse.eml_parts import MailPart, bytes_of, charset_of
from syncd.pipeline.parse.html import html_to_markdown, inline_picture, with_pictures
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_FRAME = re.compile(rb"<(i?)frame\b([^<>]{1,2000})>", re.IGNORECASE)
_SOURCE = re.compile(rb"""\bsrc=["']?([^"'\s>]{1,2000})""", re.IGNORECASE)
_MAX_PAGES = 100


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the page, then its frames where it is made of them. Raises PermanentError when no page is in the file."""
    with task.path.open("rb") as file:
        message = BytesParser(policy=compat32).parse(file)
    parts = [part for part in message.walk() if not part.is_multipart()]
    pages = [part for part in parts if part.get_content_type() in ("text/html", "application/xhtml+xml")]
    if not pages:
        raise PermanentError(f"{task.name} cannot be read as {task.format.name}: there is no page in it")
    start = str(message.get_param("start", ""))
    named = {name: part for part in reversed(parts) for name in _names(part)}
    yield from _Archive(task, named).page(named[f"cid:{_bare(start)}"] if f"cid:{_bare(start)}" in named else pages[0])


class _Archive:
    """The parts of one archive by their names: their addresses, and `cid:` with their ids."""

    def __init__(self, task: Task, named: Mapping[str, MailPart]) -> None:
        self._task = task
        self._named = named
        self._out = Markdown(task.limits)
        self._pictures = Pictures(task)
        self._seen: set[int] = set()

    def page(self, part: MailPart) -> Iterator[ParsedPiece]:
        """Yield a page and what a frameset shows in it."""
        self._seen.add(id(part))
        data, base = bytes_of(part), _address(part)
        markdown = html_to_markdown(data, self._task.name, self._task.limits, charset_of(part))
        yield from with_pictures(markdown, self._out, self._pictures, lambda address: self._picture(base, address))
        yield self._out.take()
        for inline, attributes in _FRAME.findall(data):
            source = _SOURCE.search(attributes)
            frame = self._part(base, source[1].decode("utf-8", "replace")) if source else None
            if frame is None or id(frame) in self._seen:
                continue
            if inline:
                self._task.warn("unread_content", "what another page shows in a frame of this one is not read")
            elif len(self._seen) < _MAX_PAGES:
                yield from self.page(frame)

    def _picture(self, base: str, address: str) -> bytes | None:
        part = self._part(base, address)
        if part is not None and part.get_content_maintype() == "image":
            return bytes_of(part)
        return inline_picture(address)

    def _part(self, base: str, address: str) -> MailPart | None:
        if address[:4].lower() == "cid:":
            return self._named.get(f"cid:{address[4:]}")
        try:
            return self._named.get(address) or self._named.get(urljoin(base, address))
        except ValueError:
            return None


def _names(part: MailPart) -> Iterator[str]:
    if address := _address(part):
        yield address
    if identity := _bare(str(part.get("Content-ID", ""))):
        yield f"cid:{identity}"


def _address(part: MailPart) -> str:
    return "".join(str(part.get("Content-Location", "")).split())


def _bare(identity: str) -> str:
    return identity.strip().strip("<>")
