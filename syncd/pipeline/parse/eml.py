"""Mails in files (RFC 5322, MIME): the best form of their text, mails inside them, attachments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from functools import partial
from io import BytesIO
from typing import BinaryIO

from typing_extensions import override

from syncd.errors import PermanentError
from syncd.pipeline.parse.eml_parts import (
    MailPart,
    bytes_of,
    charset_of,
    children_of,
    date_of,
    field_of,
    file_name_of,
    text_of,
)
from syncd.pipeline.parse.mail import Attachment, Mail, MailBody, no_mail, picture_ids
from syncd.pipeline.parse.mail_reader import MailReader
from syncd.pipeline.parse.task import ParsedPiece, Task

_FIELDS = ("From", "To", "Cc")
_KNOWN = frozenset(("from", "to", "subject", "date", "received", "message-id", "mime-version", "content-type"))
_MAX_DEPTH = 30
_PLAIN = ("text/plain", "message/delivery-status", "text/rfc822-headers")
_ENCODING = "Content-Transfer-Encoding"
_NEVER_IN = {
    "base64": re.compile(rb"[^A-Za-z0-9+/=\s]"),
    "quoted-printable": re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*(?:[\r\n]|\Z))"),
}
"""What shows that a part is not encoded as it says."""


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the mail and what is attached to it. Raises PermanentError when the file is no mail."""
    yield from MailReader(task).pieces(parsed(task))


def parsed(task: Task) -> Mail:
    """Return the mail in a file. Raises PermanentError when it is none."""
    with task.path.open("rb") as file:
        message = _message_in(file)
    if _KNOWN.isdisjoint(name.lower() for name in message.keys()):  # noqa: SIM118 - a message is no mapping
        raise no_mail(task)
    return _Parts(task, message).mail()


def _message_in(file: BinaryIO) -> MailPart:
    return BytesParser(_Part, policy=compat32).parse(file)


class _Part(Message):
    """A part of a message. A mail that is encoded, which RFC 2046 forbids, has no parts until that is undone."""

    @override
    def get_content_maintype(self) -> str:
        # by this the parser decides whether to go on with the fields of a mail
        return "application" if self._is_encoded_mail() else super().get_content_maintype()

    def _is_encoded_mail(self) -> bool:
        return self.get_content_type() == "message/rfc822" and str(self.get(_ENCODING, "")).lower() in _NEVER_IN


class _Parts:
    """Sorts the parts of one message: texts, pictures of its HTML, attachments."""

    def __init__(self, task: Task, message: MailPart) -> None:
        self._task = task
        self._message = message
        self._bodies: list[MailBody] = []
        self._pictures: dict[str, Attachment] = {}
        self._attachments: list[Attachment] = []

    def mail(self) -> Mail:
        self._sort(self._message, 0)
        wanted, shown = picture_ids(self._bodies), dict[str, bytes]()
        for identity, picture in self._pictures.items():
            data = picture.content() if identity in wanted else None
            if isinstance(data, bytes):
                shown[identity] = data
            else:
                self._attachments.append(picture)
        fields = [(name, field_of(self._message, name)) for name in _FIELDS]
        fields.append(("Date", date_of(self._message)))
        return Mail(field_of(self._message, "Subject"), fields, self._bodies, shown, self._attachments)

    def _sort(self, part: MailPart, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise PermanentError(f"{self._task.name} is nested too deeply to be read")
        kind = part.get_content_type()
        if kind == "multipart/alternative" and (forms := children_of(part)):
            # Of forms that are equally good, the last one is the one meant.
            chosen = max(reversed(forms), key=_preference)
            self._sort(chosen, depth + 1)
            for form in forms:
                if form is not chosen:
                    self._leave(form)
        elif kind == "message/rfc822":
            self._nested(part)
        elif kind in _PLAIN and not _is_attached(part):
            self._bodies.append(MailBody("plain", text_of(self._task, part).encode("utf-8", "replace")))
        elif kind == "text/html" and not _is_attached(part):
            self._bodies.append(MailBody("html", bytes_of(part), charset_of(part)))
        elif part.is_multipart():
            for child in children_of(part):
                self._sort(child, depth + 1)
        elif not kind.startswith("multipart/"):
            self._attach(part, kind)

    def _leave(self, form: MailPart) -> None:
        """Take what is attached to a form of the text that is not used: it may be in no other."""
        for part in _parts_of(form):
            kind = part.get_content_type()
            if kind == "message/rfc822":
                self._nested(part)
            elif _is_attached(part) and not part.is_multipart():
                self._attach(part, kind)

    def _nested(self, part: MailPart) -> None:
        for inner in children_of(part) or [_encoded_mail(part)]:
            name = file_name_of(part) or f"{field_of(inner, 'Subject') or 'message'}.eml"
            self._attachments.append(Attachment(name, "message/rfc822", partial(_mail_of, self._task, inner)))

    def _attach(self, part: MailPart, kind: str) -> None:
        content = partial(_text_content, self._task, part) if charset_of(part) else partial(bytes_of, part)
        attachment = Attachment(file_name_of(part), kind, content)
        identity = str(part.get("Content-ID", "")).strip().strip("<>")
        if identity and kind.startswith("image/"):
            self._pictures.setdefault(identity, attachment)
        else:
            self._attachments.append(attachment)


def _text_content(task: Task, part: MailPart) -> bytes:
    """Return a text in UTF-8, whatever encoding its part names."""
    return text_of(task, part).encode("utf-8", "replace")


def _mail_of(task: Task, message: MailPart) -> Mail:
    return _Parts(task, message).mail()


def _encoded_mail(part: MailPart) -> MailPart:
    """Return a mail whose part says that it is encoded, whether it is or not."""
    encoding = str(part.get(_ENCODING, ""))
    del part[_ENCODING]
    data = bytes_of(part)
    part[_ENCODING] = encoding
    is_plain = _NEVER_IN[encoding.lower()].search(data)
    return _message_in(BytesIO(data if is_plain else bytes_of(part)))


def _is_attached(part: MailPart) -> bool:
    return part.get_content_disposition() == "attachment" or bool(file_name_of(part))


def _parts_of(form: MailPart) -> Iterator[MailPart]:
    """Yield a form of a text and everything in it, without looking into mails."""
    waiting = [form]
    while waiting:
        part = waiting.pop()
        yield part
        if part.get_content_maintype() == "multipart":
            waiting += reversed(children_of(part))


def _preference(form: MailPart) -> int:
    """Return how well a form of a text suits: HTML has its tables, lists and links, if there is anything in it."""
    texts = [part for part in _parts_of(form) if not _is_attached(part)]
    for preference, kind in ((3, "text/html"), (2, "text/plain")):
        if any(part.get_content_type() == kind and bytes_of(part).strip() for part in texts):
            return preference
    return 1 if form.is_multipart() else 0
