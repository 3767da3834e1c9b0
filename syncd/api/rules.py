"""The documented rules for names, ids and metadata. Pure; each raises RefusedError (400) saying what is allowed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, cast

from syncd.api.errors import bad_request
from syncd.api.schema_base import INT64_MAX
from syncd.model import Scalar

MAX_CUSTOM_ID_BYTES = 120
MAX_OBJECT_KEY_BYTES = 1024
"""Amazon S3's own limit."""
MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_VALUES = 1024
"""Chroma takes a record with thousands of values and can never read it again; far below is enough for people."""
RESERVED_PREFIX = "chroma_"

_COLLECTION = re.compile(r"[a-z0-9][A-Za-z0-9._-]{1,510}[a-z0-9]")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
_BRANCH_NEVER = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-/.]|[/.]$|^@$")
_SHA = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def uuid(text: str, name: str) -> str:
    """Return a UUID in lower case; `name` is what the message calls it."""
    if not _UUID.fullmatch(text):
        raise bad_request(f"{name} must be a UUID")
    return text.lower()


def collection_name(name: str) -> str:
    """Return `name` when Chroma takes it as a collection's."""
    if not _COLLECTION.fullmatch(name) or ".." in name or _is_address(name):
        raise bad_request(
            f"{shown(name)} is not a collection name: 3-512 characters, first and last a lowercase letter or digit, "
            "letters, digits, dots, dashes and underscores inside, no two dots in a row, not an IP address"
        )
    return name


def can_be_database(name: str) -> bool:
    """Tell whether a database could have this name; one that could not is unknown without asking Chroma."""
    return 0 < len(name.encode()) <= 512 and not _CONTROL.search(name) and "/" not in name and name not in (".", "..")


def custom_id(value: str) -> str:
    """Return `value` when it can begin chunk ids."""
    if not value or len(value.encode()) > MAX_CUSTOM_ID_BYTES or _CONTROL.search(value):
        raise bad_request(f"custom_id must have 1-{MAX_CUSTOM_ID_BYTES} bytes and no control characters")
    return value


def object_key(value: str, path_prefix: str | None) -> str:
    """Return `value` when it is the full key of an object under the source's prefix."""
    if not value or len(value.encode()) > MAX_OBJECT_KEY_BYTES:
        raise bad_request(f"object_key must have 1-{MAX_OBJECT_KEY_BYTES} bytes")
    if path_prefix and not value.startswith(path_prefix):
        raise bad_request(
            f"object_key {shown(value)} is outside the source's path_prefix {shown(path_prefix)}; give the full key"
        )
    return value


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


def metadata(values: Mapping[str, Any], reserved: bool = False) -> dict[str, Any]:
    """Return metadata whose values are scalars or homogeneous arrays of scalars.

    With `reserved`, keys that begin with `chroma_` are refused too, as uploads document it.
    """
    total = 0
    for key, value in values.items():
        _check_key(key, reserved)
        items = _items(key, value)
        if len({_kind(key, item) for item in items}) > 1:
            raise bad_request(f"metadata {shown(key)} mixes types; an array must hold values of one type")
        total += len(items)
    if total > MAX_METADATA_VALUES:
        raise bad_request(f"metadata holds more than {MAX_METADATA_VALUES} values; send fewer")
    return dict(values)


def shown(text: str) -> str:
    """Return text quoted for a message, cut to a readable length."""
    return repr(text if len(text) <= 80 else text[:77] + "…")


def _check_key(key: str, reserved: bool) -> None:
    if not key or len(key.encode()) > 128 or _CONTROL.search(key):
        raise bad_request(f"metadata key {shown(key)} must have 1-128 bytes and no control characters")
    if key[0] in "#$" or key == "chroma:document" or (reserved and key.startswith(RESERVED_PREFIX)):
        raise bad_request(f"metadata key {shown(key)} is reserved; choose another")


def _items(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    if not value:
        raise bad_request(f"metadata {shown(key)} is an empty array; leave it out")
    return cast(list[Any], value)


def _kind(key: str, value: Any) -> type[Scalar]:
    if isinstance(value, bool | str | float):
        return type(value)
    if isinstance(value, int):
        if not -INT64_MAX - 1 <= value <= INT64_MAX:
            raise bad_request(f"metadata {shown(key)} does not fit in 64 bits; send it as a string")
        return int
    raise bad_request(f"metadata {shown(key)} must be a string, number, boolean, or an array of one of these")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
