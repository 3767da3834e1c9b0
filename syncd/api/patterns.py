"""The documented rules for what only requests name: ids, repositories, branches, commits. Pure; each raises RefusedError (400)."""

from __future__ import annotations

import re

from syncd.api.errors import bad_request
from syncd.chroma.naming import shown

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
_BRANCH_NEVER = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-/.]|[/.]$|^@$")
_SHA = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def uuid(text: str, name: str) -> str:
    """Return a UUID in lower case; `name` is what the message calls it."""
    if not _UUID.fullmatch(text):
        raise bad_request(f"{name} must be a UUID")
    return text.lower()


def repository(value: str) -> str:
    """Return `value` when it reads `owner/name`."""
    if not _REPOSITORY.fullmatch(value):
        raise bad_request(f"repository {shown(value)} must read owner/name")
    return value


def branch(value: str) -> str:
    """Return `value` when git takes it as a branch."""
    if not value or len(value) > 255 or _BRANCH_NEVER.search(value):
        raise bad_request(f"{shown(value)} is not a branch name")
    return value


def sha(value: str) -> str:
    """Return a full commit id in lower case."""
    if not _SHA.fullmatch(value):
        raise bad_request(f"sha {shown(value)} is not a full commit id; give all 40 hexadecimal digits")
    return value.lower()
