"""A mail as its readers know it, whatever file it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import unquote

from syncd.errors import PermanentError
from syncd.pipeline.parse.task import Task

_CID = re.compile(rb"[\"'(=]cid:([^\"'\s<>)]{1,500})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MailBody:
    """A text of a mail: HTML in `charset`, RTF, or plain text (UTF-8)."""

    kind: Literal["html", "rtf", "plain"]
    data: bytes
    charset: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something that came with a mail. `content` reads it when it is asked for: bytes, or another mail."""

    name: str
    media_type: str
    content: Callable[[], bytes | Mail]


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail: its fields with their names, its texts in order, the pictures its HTML shows by their ids, and attachments."""

    subject: str
    fields: Sequence[tuple[str, str]]
    bodies: Sequence[MailBody]
    pictures: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    attachments: Sequence[Attachment] = ()


def picture_ids(bodies: Iterable[MailBody]) -> set[str]:
    """Return the ids of the pictures that the HTML of a mail shows."""
    pages = [body.data for body in bodies if body.kind == "html"]
    return {unquote(found[1].decode("utf-8", "replace")) for page in pages for found in _CID.finditer(page)}


def shown_time(value: datetime) -> str:
    """Return a point in time as people and machines read it, with its offset from UTC where that is known."""
    zone = f" {value:%z}" if value.tzinfo else ""
    return f"{value:%Y-%m-%d %H:%M}{zone[:4]}{':' if zone else ''}{zone[4:6]}"


def no_mail(task: Task) -> PermanentError:
    """Return the reason for a file that is no mail."""
    return PermanentError(
        f"{task.name} cannot be read as {task.format.name}: it does not begin with the fields of a mail"
    )
