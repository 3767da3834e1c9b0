"""Quotes untrusted text in messages, and errors of the system in their own words."""

from __future__ import annotations

import os


def shown(text: str) -> str:
    """Return text quoted for a message, cut to a readable length."""
    return repr(text if len(text) <= 80 else text[:77] + "…")


def told(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file could not be read or a place be reached, without the numbers and names that the error repeats."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return (os.strerror(error.errno) if error.errno else str(error)) or type(error).__name__
