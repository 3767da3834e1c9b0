"""The documented rules for buckets, keys, ids and metadata. Pure; each raises PermanentError saying what is allowed."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from syncd.errors import PermanentError
from syncd.model import Metadata, Scalar

METADATA_SUFFIX = ".meta.json"
MAX_KEY_BYTES = 1024
"""Amazon S3 User Guide, "Naming Amazon S3 objects"."""
MAX_CUSTOM_ID_BYTES = 120
MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_VALUES = 1024
"""Chroma accepts a record of more than 5,461 values and can never read its collection again."""
STANDARD_KEYS = frozenset({"bucket", "object_key", "custom_id"})
"""Metadata that says where a chunk comes from; nobody's metadata replaces it."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_COLLECTION = re.compile(r"[a-z0-9][A-Za-z0-9._-]{1,510}[a-z0-9]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_bucket(name: str) -> str:
    """Return `name` when it can be a bucket's (Amazon S3 User Guide, "Bucket naming rules")."""
    if not _BUCKET.fullmatch(name) or ".." in name or _is_address(name):
        raise PermanentError(
            f"bucket_name {shown(name)}: 3-63 lowercase letters, digits, dots and dashes, first and last a letter or "
            "digit, no two dots in a row, not an IP address"
        )
    return name


def check_prefix(prefix: str) -> str:
    """Return `prefix` when objects can lie below it."""
    if len(prefix.encode()) > MAX_KEY_BYTES - 1 or prefix.startswith("/"):
        raise PermanentError(
            f"path_prefix {shown(prefix)}: at most {MAX_KEY_BYTES - 1} bytes and no slash in front; "
            "keys of S3 do not begin with one"
        )
    return prefix


def check_key(key: str, prefix: str) -> str:
    """Return `key` when it is the full key of an object below `prefix`."""
    if not key or len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise PermanentError(f"object_key must have 1-{MAX_KEY_BYTES} bytes")
    if not key.startswith(prefix):
        raise PermanentError(
            f"object_key {shown(key)} lies outside the source's path_prefix {shown(prefix)}; give the full key"
        )
    return key


def check_custom_id(value: str) -> str:
    """Return `value` when it can begin chunk ids."""
    if not value or len(value.encode("utf-8", "surrogatepass")) > MAX_CUSTOM_ID_BYTES or _CONTROL.search(value):
        raise PermanentError(f"custom_id must have 1-{MAX_CUSTOM_ID_BYTES} bytes and no control characters")
    return value


def check_collection(name: str) -> str:
    """Return `name` when Chroma takes it as a collection's."""
    if not _COLLECTION.fullmatch(name) or ".." in name or _is_address(name):
        raise PermanentError(
            f"{shown(name)} is not a collection name: 3-512 characters, first and last a lowercase letter or digit, "
            "letters, digits, dots, dashes and underscores inside, no two dots in a row, not an IP address"
        )
    return name


def check_metadata(values: Mapping[str, Any]) -> Metadata:
    """Return metadata whose values are scalars or homogeneous, non-empty arrays of scalars."""
    for key, value in values.items():
        _check_metadata_key(key)
        if len({_kind(key, item) for item in _items(key, value)}) > 1:
            raise PermanentError(f"metadata {shown(key)} mixes types; an array must hold values of one type")
    if sum(len(cast("list[Any]", v)) if isinstance(v, list) else 1 for v in values.values()) > MAX_METADATA_VALUES:
        raise PermanentError(f"metadata holds more than {MAX_METADATA_VALUES} values; send fewer")
    return cast("Metadata", dict(values))


def is_metadata_file(key: str) -> bool:
    """Tell whether an object describes another one."""
    return key.endswith(METADATA_SUFFIX)


def is_folder(key: str, size_bytes: int) -> bool:
    """Tell whether an object is the empty marker that consoles make to show a folder."""
    return size_bytes == 0 and key.endswith("/")


def shown(text: str) -> str:
    """Return text quoted for a message, cut to a readable length."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _check_metadata_key(key: str) -> None:
    if not key or len(key.encode("utf-8", "surrogatepass")) > 128 or _CONTROL.search(key):
        raise PermanentError(f"metadata key {shown(key)} must have 1-128 bytes and no control characters")
    if key[0] in "#$" or key == "chroma:document" or key in STANDARD_KEYS:
        raise PermanentError(f"metadata key {shown(key)} is reserved; choose another")


def _items(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    if not value:
        raise PermanentError(f"metadata {shown(key)} is an empty array; leave it out")
    return cast("list[Any]", value)


def _kind(key: str, value: Any) -> type[Scalar]:
    if isinstance(value, bool | str):
        return type(value)
    if isinstance(value, float) and math.isfinite(value):
        return float
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int
    raise PermanentError(
        f"metadata {shown(key)} must be a string, finite number, 64-bit integer, boolean, or an array of one of these"
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
