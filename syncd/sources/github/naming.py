"""Checks names of repositories on GitHub."""

from __future__ import annotations

import re

from syncd.errors import PermanentError
from syncd.quoting import shown

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")


def check_repository(value: str) -> str:
    """Return `value` if it has the form `owner/name`. Raises PermanentError."""
    if not REPOSITORY.fullmatch(value):
        raise PermanentError(f"repository {shown(value)} must have the form owner/name")
    return value
