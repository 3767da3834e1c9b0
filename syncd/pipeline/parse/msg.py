"""Outlook's messages (MS-OXMSG): the same mails as in `eml`, kept as MAPI properties in a compound file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from syncd.errors import PermanentError
from syncd.pipeline.parse.compressed_rtf import decompressed_rtf
from syncd.pipeline.parse.mail import Attachment, Mail, MailBody, no_mail, picture_ids, shown_time
from syncd.pipeline.parse.mail_reader import MailReader
from syncd.pipeline.parse.msg_properties import EMBEDDED, TOP, CompoundFile, Properties
from syncd.pipeline.parse.rtf_html import html_in
from syncd.pipeline.parse.task import ParsedPiece, Task, storable_text

_SUBJECT, _BODY, _HTML, _RTF = 0x0037, 0x1000, 0x1013, 0x1009
_SUBMITTED, _DELIVERED = 0x0039, 0x0E06
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_NAME, _SMTP, _ADDRESS, _KIND = 0x3001, 0x39FE, 0x3003, 0x0C15
_LONG_NAME, _SHORT_NAME, _MEDIA_TYPE, _CONTENT_ID, _DATA = 0x3707, 0x3704, 0x370E, 0x3712, 0x3701
_FIELDS = ((1, "To", 0x0E04), (2, "Cc", 0x0E03))
"""Kind of recipients, their field, and the property that lists them for show."""
_MAX_RECIPIENTS = 200
_DAMAGED = (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error)
"""What olefile raises for damaged files."""


def read(task: Task) -> Iterator[ParsedPiece]:
    """Yield the mail and what is attached to it. Raises PermanentError when the file is damaged or no mail."""
    yield from MailReader(task).pieces(parsed(task))


def parsed(task: Task) -> Mail:
    """Return the mail in a file. Raises PermanentError when it is damaged or none."""
    try:
        return _mail(task, Properties(CompoundFile(task.path.read_bytes()), (), TOP))
    except _DAMAGED as error:
        raise PermanentError(f"{task.name} is damaged: it cannot be read as a compound file ({error})") from error


def _mail(task: Task, message: Properties) -> Mail:
    subject = message.text(_SUBJECT)
    people = [_person(message, _SENDER_NAME, _SENDER_SMTP, _SENDER_ADDRESS)]
    fields = [("From", people[0]), *_recipients(message)]
    sent = message.time(_SUBMITTED) or message.time(_DELIVERED)
    fields.append(("Date", shown_time(sent) if sent else ""))
    bodies = list(_bodies(message))
    if not (subject or bodies or any(value for _, value in fields)):
        raise no_mail(task)
    pictures: dict[str, bytes] = {}
    attachments: list[Attachment] = []
    wanted = picture_ids(bodies)
    for each in message.inside("__attach_version1.0_"):
        identity = each.text(_CONTENT_ID).strip("<> ")
        if identity in wanted:
            pictures[identity] = each.binary(_DATA)
        else:
            attachments.append(_attachment(task, each))
    return Mail(subject, fields, bodies, pictures, attachments)


def _bodies(message: Properties) -> Iterator[MailBody]:
    """Yield the best form of the text that there is."""
    if page := message.binary(_HTML):
        yield MailBody("html", page, message.codec)
    elif page := message.text(_HTML):
        yield MailBody("html", page.encode("utf-8", "replace"), "utf-8")
    else:
        rich = decompressed_rtf(message.binary(_RTF))
        text = message.text(_BODY).strip()
        if page := html_in(rich):
            yield MailBody("html", storable_text(page).encode(), "utf-8")
        elif text or rich:
            yield MailBody("plain", text.encode("utf-8", "replace")) if text else MailBody("rtf", rich)


def _recipients(message: Properties) -> Iterator[tuple[str, str]]:
    people: dict[int, list[str]] = {}
    for number, each in enumerate(message.inside("__recip_version1.0_")):
        if number < _MAX_RECIPIENTS:
            people.setdefault(each.number(_KIND), []).append(_person(each, _NAME, _SMTP, _ADDRESS))
    for kind, name, shown in _FIELDS:
        yield name, ", ".join(filter(None, people.get(kind, ()))) or message.text(shown)


def _person(properties: Properties, name: int, smtp: int, address: int) -> str:
    shown = properties.text(name).strip()
    mail = properties.text(smtp).strip() or properties.text(address).strip()
    if "@" not in mail or mail == shown:
        return shown
    return f"{shown} <{mail}>" if shown else mail


def _attachment(task: Task, properties: Properties) -> Attachment:
    name = properties.text(_LONG_NAME) or properties.text(_SHORT_NAME) or properties.text(_NAME)
    embedded = properties.storage(_DATA, EMBEDDED)
    if embedded is None:
        return Attachment(name, properties.text(_MEDIA_TYPE), partial(_content, properties))
    return Attachment(name or f"{embedded.text(_SUBJECT)}.msg", "", partial(_mail_inside, task, embedded))


def _content(properties: Properties) -> bytes:
    try:
        return properties.binary(_DATA)
    except _DAMAGED as error:
        raise PermanentError(f"it is damaged ({error})") from error


def _mail_inside(task: Task, properties: Properties) -> Mail:
    try:
        return _mail(task, properties)
    except _DAMAGED as error:
        raise PermanentError(f"it is damaged ({error})") from error
