"""Checks names of accounts, containers and queues. Pure; each raises PermanentError saying what is allowed."""

from __future__ import annotations

import re

from syncd.errors import PermanentError
from syncd.quoting import shown
from syncd.schema import http_parts

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}\Z)[a-z0-9](?:-?[a-z0-9])+|\$root|\$web")
_QUEUE = re.compile(r"(?=.{3,63}\Z)[a-z0-9](?:-?[a-z0-9])+")


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


def check_storage_queue(queue_url: str) -> str:
    """Return `queue_url` if it can be a queue's URL. Raises PermanentError."""
    parts = http_parts(queue_url)
    if parts is None or parts.query or not _QUEUE.fullmatch(parts.path.rpartition("/")[2]):
        raise PermanentError(
            f"queue_url {shown(queue_url)} is no URL of a queue, such as https://ACCOUNT.queue.core.windows.net/QUEUE"
        )
    return queue_url
