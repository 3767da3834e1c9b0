"""The Markdown of a mail: who wrote what to whom and when, then its attachments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from syncd.pipeline.parse import gfm
from syncd.pipeline.parse.html import html_to_markdown, inline_picture, with_pictures
from syncd.pipeline.parse.image import Pictures
from syncd.pipeline.parse.mail import Mail, MailBody
from syncd.pipeline.parse.mail_attachments import Attachments
from syncd.pipeline.parse.rtf_reader import rtf_blocks
from syncd.pipeline.parse.task import Markdown, ParsedPiece, Task

_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")


class MailReader:
    """Reads one mail and those inside it, within common limits."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._out = Markdown(task.limits)
        self._pictures = Pictures(task)
        self._attachments = Attachments(task, self._begin, self.pieces)

    def pieces(self, mail: Mail, depth: int = 0) -> Iterator[ParsedPiece]:
        """Yield a mail's text and then, a part or more each, its attachments. Raises PermanentError over the limits."""
        self._out.block(gfm.heading(1, mail.subject))
        self._out.block("\n".join(f"{name}: {_line(value)}" for name, value in mail.fields if value.strip()))
        for body in mail.bodies:
            yield from self._body(body, mail.pictures)
        yield self._out.take()
        for attachment in mail.attachments:
            yield from self._attachments.pieces(attachment, depth)

    def _begin(self, name: str) -> ParsedPiece:
        """Return what stands before an attachment: from here on, chunks name it."""
        self._out.page(1, name)
        self._out.block(gfm.heading(2, f"Attachment: {name}"))
        return self._out.take()

    def _body(self, body: MailBody, pictures: Mapping[str, bytes]) -> Iterator[ParsedPiece]:
        if body.kind == "html":
            markdown = html_to_markdown(body.data, self._task.name, self._task.limits, body.charset)
            yield from with_pictures(markdown, self._out, self._pictures, lambda address: _picture(address, pictures))
        elif body.kind == "rtf":
            self._out.blocks(rtf_blocks(self._task, body.data, self._pictures))
        else:
            self._out.blocks(plain_blocks(body.data.decode("utf-8", "replace")))
        for data in self._pictures.taken():
            self._out.picture(data)


def _picture(address: str, pictures: Mapping[str, bytes]) -> bytes | None:
    if address[:4].lower() == "cid:":
        return pictures.get(unquote(address[4:]))
    return inline_picture(address)


def plain_blocks(text: str) -> Iterator[str]:
    """Yield the paragraphs of plain text, signs escaped by which Markdown would take a line for a heading or open a listing."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    fences = sum(_FENCE.match(line) is not None for line in lines)
    paragraph: list[str] = []
    for line in (*lines, ""):
        if line.strip():
            is_sign = _UNDERLINE.match(line) or _HEADING.match(line) or (fences % 2 and _FENCE.match(line))
            bare = line.lstrip()
            paragraph.append(f"{line[: len(line) - len(bare)]}\\{bare.rstrip()}" if is_sign else line.rstrip())
        elif paragraph:
            yield "\n".join(paragraph)
            paragraph = []


def _line(text: str) -> str:
    return " ".join(text.split())
