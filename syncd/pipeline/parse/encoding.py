"""From bytes of unstated encoding to text: told where it is a guess, refused where none fits."""

from __future__ import annotations

import codecs
import re

from syncd.errors import PermanentError
from syncd.html.charset import guessed
from syncd.pipeline.parse.task import Task

_MARKED_UTF_8 = "utf-8-sig"
_MARKS = (
    (codecs.BOM_UTF8, _MARKED_UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOST = re.compile("[\ufffd\ufffe\uffff\x00-\x08\x0e-\x1a\x1c-\x1f\x80-\x9f]")
"""What no text has: a sign that it was read by the wrong table."""
_SWITCHED = re.compile(rb"\x1b\$|~\{[!-}]+~\}")
"""What a text in seven bits has that switches to two bytes a character: ISO-2022-JP, HZ."""
_LOOKED_AT_BYTES = 4096
_END_OF_FILE = "\x1a"
"""What programs of DOS wrote behind a text."""


def decode(task: Task, data: bytes) -> str:
    """Return a file's text: by its byte order mark, else UTF-8, else as it looks, which is told.

    What is more than ASCII is valid UTF-8 hardly by chance, and believed whatever characters it has. Raises PermanentError
    when it looks like no text in an encoding that is known here.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _strictly(task, data, name)
    name = _of_bytes(data)
    try:
        if not name:
            text = data.decode().removesuffix(_END_OF_FILE)
            return _without_loss(text) if data.isascii() else text
    except ValueError:
        name = guessed(data)
    text = _strictly(task, data, name)
    task.warn(
        "encoding_guessed", f"it does not say how it is encoded and was read as {name}: save it as UTF-8 to be sure"
    )
    return text


def bare_utf16(head: bytes) -> str:
    """Return the form of UTF-16 that a file without a mark begins in: every second byte of ASCII is zero; '' for none.

    Text of any script has enough ASCII for that, its spaces, commas and line ends; noise has a zero now and then.
    """
    found = [at % 2 for at, byte in enumerate(head) if not byte]
    zeros = set(found)
    return "" if len(zeros) != 1 or len(found) < len(head) / 32 else "utf-16-le" if 1 in zeros else "utf-16-be"


def _of_bytes(data: bytes) -> str:
    """Return an encoding of which certain bytes are a sign, though they are valid UTF-8; '' for none."""
    if (wide := bare_utf16(data[:_LOOKED_AT_BYTES])) and not len(data) % 2:
        return wide
    found = guessed(data) if data.isascii() and _SWITCHED.search(data) else ""
    return found if found.upper().startswith(("ISO-2022", "HZ")) else ""


def _strictly(task: Task, data: bytes, name: str) -> str:
    try:
        text = data.decode(name)
        return text.removesuffix(_END_OF_FILE) if name == _MARKED_UTF_8 else _without_loss(text)
    except (LookupError, ValueError) as error:
        raise PermanentError(f"how {task.name} is encoded could not be found out: save it as UTF-8") from error


def _without_loss(text: str) -> str:
    """Return `text`. Raises ValueError where it has what no text has."""
    if _LOST.search(text):
        raise ValueError("not a text")
    return text
