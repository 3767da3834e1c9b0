"""Checks names of branches and commits. Pure; each raises PermanentError saying what is allowed."""

from __future__ import annotations

import re

from syncd.errors import PermanentError
from syncd.quoting import shown

_BRANCH_NEVER = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-/.]|[/.]$|^@$")
_SHA = re.compile(r"[0-9a-fA-F]{7,64}")


def check_branch(value: str) -> str:
    """Return `value` if git accepts it as a branch name."""
    if not value or len(value) > 255 or _BRANCH_NEVER.search(value):
        raise PermanentError(f"{shown(value)} is not a branch name")
    return value


def check_sha(value: str) -> str:
    """Return a commit id, or its first seven digits or more, in lower case."""
    if not _SHA.fullmatch(value):
        raise PermanentError(f"sha {shown(value)} is not a commit id; give its hexadecimal digits, seven or more")
    return value.lower()
