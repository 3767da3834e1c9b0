"""What is attached to a mail, read by the readers of other documents, within limits for all of it together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from syncd.errors import PermanentError
from syncd.model.formats import MAIL, OUTLOOK, format_of
from syncd.pipeline.parse.encoding import decode
from syncd.pipeline.parse.mail import Attachment, Mail
from syncd.pipeline.parse.readers import ConversionNeededError, read
from syncd.pipeline.parse.sniff import confirm
from syncd.pipeline.parse.task import ParsedPiece, Task

ReadMail = Callable[[Mail, int], Iterator[ParsedPiece]]

MAX_ATTACHMENTS = 100
MAX_DEPTH = 5
"""How deep mails may be attached to mails."""
_LOOKED_AT_BYTES = 8192
_NAME_CHARACTERS = 120
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")


class Attachments:
    """Reads attachments one after the other; what cannot be read is told and left out."""

    def __init__(self, task: Task, begin: Callable[[str], ParsedPiece], read_mail: ReadMail) -> None:
        """`begin` returns what is to stand before an attachment of a name; `read_mail` reads a mail so deep in others."""
        self._task = task
        self._begin = begin
        self._read_mail = read_mail
        self._count = self._bytes = self._text_bytes = 0

    def pieces(self, attachment: Attachment, depth: int) -> Iterator[ParsedPiece]:
        """Yield what is set before it, then its text. Raises PermanentError when all the text is over its limit."""
        if attachment.media_type.lower() in _SIGNATURES:
            return
        self._count += 1
        name = shown_name(attachment.name, self._count)
        try:
            for number, piece in enumerate(self._content(attachment, name, depth)):
                if number == 0:
                    yield self._begin(name)
                self._count_text(piece)
                yield piece
        except ConversionNeededError:
            self._unread(name, "files of Office 97-2003 inside others are not converted: attach it as .docx or .pptx")
        except PermanentError as error:
            if self._text_bytes > self._task.limits.text_bytes:
                raise
            self._unread(name, str(error))

    def _content(self, attachment: Attachment, name: str, depth: int) -> Iterator[ParsedPiece]:
        if self._count > MAX_ATTACHMENTS:
            raise PermanentError(f"only the first {MAX_ATTACHMENTS} attachments are read")
        content = attachment.content()
        if not isinstance(content, bytes):
            yield from self._mail(content, depth)
            return
        self._bytes += len(content)
        if self._bytes > self._task.limits.expanded_bytes:
            raise PermanentError("the attachments together are too large")
        path = self._task.path.with_name(f"attachment-{self._count}")
        task = replace(self._task, path=path, name=name, format=format_of(name, attachment.media_type))
        path.write_bytes(_as_utf8(task, content) if task.format.is_text else content)
        try:
            yield from self._document(task, depth)
        finally:
            for used in (path, path.with_suffix(".pdf")):
                used.unlink(missing_ok=True)

    def _document(self, task: Task, depth: int) -> Iterator[ParsedPiece]:
        found = task.format if task.format.is_text else confirm(task)
        if found in (MAIL, OUTLOOK):
            parse: Callable[[Task], Mail] = import_module(f"{__package__}.{found.reader}").parsed
            yield from self._mail(parse(replace(task, format=found)), depth)
            return
        for piece in read(task):
            pages = tuple(
                replace(mark, label=f"{task.name}: {mark.label}" if mark.label else task.name)
                for mark in piece.part.pages
            )
            yield replace(piece, part=replace(piece.part, pages=pages, lines=()))

    def _mail(self, mail: Mail, depth: int) -> Iterator[ParsedPiece]:
        if depth >= MAX_DEPTH:
            raise PermanentError(f"mails are read {MAX_DEPTH} deep")
        yield from self._read_mail(mail, depth + 1)

    def _count_text(self, piece: ParsedPiece) -> None:
        self._text_bytes += len(piece.part.text.encode())
        limit = self._task.limits.text_bytes
        if self._text_bytes > limit:
            raise PermanentError(f"the mail and its attachments contain over {limit >> 20} MiB of text: split it")

    def _unread(self, name: str, reason: str) -> None:
        self._task.warn("attachment_unread", f"attachment not read: {name}: {reason.removeprefix(f'{name} ')}")


def _as_utf8(task: Task, content: bytes) -> bytes:
    """Return a text that nobody saved for us in UTF-8. Raises PermanentError when it is none."""
    if b"\0" in content[:_LOOKED_AT_BYTES] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PermanentError("it is binary, of a kind that is not read")
    return decode(task, content).encode("utf-8", "replace")


def shown_name(name: str, number: int) -> str:
    """Return an attachment's name on one line of bounded length, its suffix kept; without folders, whatever it says."""
    bare = " ".join(name.replace("\\", "/").rpartition("/")[2].replace("\0", "").split())
    suffix = Path(bare).suffix[:10]
    return (bare if len(bare) <= _NAME_CHARACTERS else bare[: _NAME_CHARACTERS - 10] + suffix) or f"attachment {number}"
