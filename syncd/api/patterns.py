"""The published format of ids in requests. Pure; raises RefusedError (400)."""

from __future__ import annotations

import re

from syncd.api.errors import bad_request

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_uuid(text: str) -> bool:
    """Return whether a text has the form of a UUID."""
    return _UUID.fullmatch(text) is not None


def uuid(text: str, name: str) -> str:
    """Return a UUID in lower case; `name` is its name in the error message."""
    if not is_uuid(text):
        raise bad_request(f"{name} must be a UUID")
    return text.lower()
