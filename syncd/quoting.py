"""Quotes untrusted text in messages, and errors of the system in their own words."""

from __future__ import annotations

import os
import re

_TITLE = re.compile(r"<title>([^<]{1,200})", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def shown(text: str) -> str:
    """Return text quoted for a message, cut to a readable length."""
    return repr(text if len(text) <= 80 else text[:77] + "…")


def answered(text: str) -> str:
    """Return what a server's answer says as one line, cut to a readable length: of a page, as proxies answer, its title."""
    title = _TITLE.search(text)
    return " ".join((title[1] if title else text).split())[:500]


def harmless(text: str) -> str:
    """Return text with its control characters, but for line ends and tabs, shown as such: a stranger's file name must not steer a terminal."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def told(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file could not be read or a place be reached, without the numbers and names that the error repeats."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (os.strerror(error.errno) if error.errno else str(error)) or type(error).__name__
