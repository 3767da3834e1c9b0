"""What one part of a MIME message says: its fields, its bytes, its text. Nothing in it is trusted to be well-formed."""

from __future__ import annotations

import codecs
import re
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from syncd.errors import PermanentError
from syncd.pipeline.parse.encoding import decode
from syncd.pipeline.parse.mail import shown_time
from syncd.pipeline.parse.task import Task

_FIELD_CHARACTERS = 20_000
_UNSTATED = frozenset(("", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "default", "binary"))
_NO_CHARSETS = frozenset(
    ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "charmap", "mbcs", "oem")
)
"""Encodings of Python that are none of texts; two of them take more than linear time."""
_QUOTES = re.compile(r"[> ]*")

MailPart: TypeAlias = "Message[str, str]"


def field_of(part: MailPart, name: str) -> str:
    """Return a field's first value with its encoded words (RFC 2047) read, '' when there is none."""
    raw = next((str(value) for key, value in part.raw_items() if key.lower() == name.lower()), "")
    return _words(raw[:_FIELD_CHARACTERS])


def _words(raw: str) -> str:
    text = _utf8_or_latin(raw.encode("utf-8", "surrogateescape"))
    try:
        found = decode_header(text)
    except (MessageError, ValueError):
        return text
    return "".join(
        words if isinstance(words, str) else _read_as(words, charset or "") or _utf8_or_latin(words)
        for words, charset in found
    )


def date_of(part: MailPart) -> str:
    """Return when it was written, as it says where that cannot be read."""
    value = field_of(part, "Date")
    try:
        return shown_time(parsedate_to_datetime(value))
    except (ValueError, TypeError, IndexError, OverflowError):
        return value


def file_name_of(part: MailPart) -> str:
    """Return the name of the file that a part is, '' for none."""
    try:
        return _words(part.get_filename() or "")
    except (ValueError, TypeError, LookupError):
        return ""


def children_of(part: MailPart) -> list[MailPart]:
    """Return the parts of a part."""
    payload: object = part.get_payload()
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []  # pyright: ignore[reportUnknownVariableType]


def bytes_of(part: MailPart) -> bytes:
    """Return a part's content, its transfer encoding undone; as it stands where that is broken."""
    content: object = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def charset_of(part: MailPart) -> str:
    """Return the encoding of text that a part names, '' where it names none that is known."""
    try:
        name = (part.get_content_charset() or "").strip()
        return "" if name in _UNSTATED or codecs.lookup(name).name.replace("_", "-") in _NO_CHARSETS else name
    except (LookupError, ValueError, TypeError):
        return ""


def text_of(task: Task, part: MailPart) -> str:
    """Return a part's text, with lines that were only wrapped for sending (RFC 3676) joined again."""
    if part.is_multipart():
        return "\n\n".join(map(_as_written, children_of(part)))
    data = bytes_of(part)
    try:
        text = _read_as(data, charset_of(part)) or decode(task, data)
    except PermanentError:
        task.warn("encoding_guessed", "how a text in it is encoded could not be found out: some of its signs are lost")
        text = data.decode("utf-8", "replace")
    is_flowed = str(part.get_param("format", "")).lower() == "flowed"
    return unflowed(text, is_split=str(part.get_param("delsp", "")).lower() == "yes") if is_flowed else text


def _as_written(part: MailPart) -> str:
    """Return the fields of a part of a report, and its text if it has any."""
    fields = "\n".join(f"{name}: {_words(str(value)[:_FIELD_CHARACTERS])}" for name, value in part.raw_items())
    return fields if part.is_multipart() else f"{fields}\n{_utf8_or_latin(bytes_of(part))}"


def unflowed(text: str, *, is_split: bool = False) -> str:
    """Return flowed text with its wrapped lines joined; `is_split` says that the blank at a line's end is none of the text's."""
    out: list[list[str]] = []
    before = None
    for line in text.splitlines():
        found = _QUOTES.match(line) if line.startswith(">") else None
        quotes = found[0].rstrip() if found else ""
        words = line[found.end() :] if found else line.removeprefix(" ")
        goes_on = words.endswith(" ") and words != "-- "
        if before != quotes or not out:
            out.append([f"{quotes} "] if quotes else [])
        out[-1].append(words[:-1] if goes_on and is_split else words)
        before = quotes if goes_on else None
    return "\n".join(map("".join, out))


def _read_as(data: bytes, charset: str) -> str:
    """Return text in an encoding, '' where it is not that."""
    try:
        return data.decode(charset) if charset and charset not in _UNSTATED else ""
    except (LookupError, ValueError):
        return ""


def _utf8_or_latin(data: bytes) -> str:
    try:
        return data.decode()
    except ValueError:
        return data.decode("latin-1")
