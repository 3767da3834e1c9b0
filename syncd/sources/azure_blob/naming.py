"""Checks names of accounts and containers. Pure; each raises PermanentError saying what is allowed."""

from __future__ import annotations

import re

from syncd.errors import PermanentError
from syncd.quoting import shown

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}\Z)[a-z0-9](?:-?[a-z0-9])+|\$root|\$web")


def check_account(name: str) -> str:
    """Return `name` if it is a valid account name (Azure, "Storage account name"): it becomes a part of a host's name."""
    if not _ACCOUNT.fullmatch(name):
        raise PermanentError(f"account_name {shown(name)}: 3-24 lowercase letters and digits")
    return name


def check_container(name: str) -> str:
    """Return `name` if it is a valid container name (Azure, "Naming and Referencing Containers")."""
    if not _CONTAINER.fullmatch(name):
        raise PermanentError(
            f"container_name {shown(name)}: 3-63 lowercase letters, digits and single dashes, first and last a letter or "
            "digit; or $root, $web"
        )
    return name
