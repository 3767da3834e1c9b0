"""Checks names, ids and metadata against the published rules. Pure; each raises PermanentError saying what is allowed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence

from syncd.errors import PermanentError
from syncd.json_types import is_array
from syncd.model import Metadata, Scalar
from syncd.quoting import shown
from syncd.row_checks import fits, is_reserved

MAX_CUSTOM_ID_BYTES = 120
MAX_OBJECT_KEY_BYTES = 1024
"""Amazon S3 User Guide, "Naming Amazon S3 objects"."""
MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_KEY_BYTES = 128
MAX_METADATA_VALUES = 1024
"""Chroma accepts a record of more than 5,461 values but then can never read its collection again; this limit is far below."""

_COLLECTION = re.compile(r"[a-z0-9][A-Za-z0-9._-]{1,510}[a-z0-9]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Includes lone surrogates, which cannot be stored."""


def check_collection(name: str) -> str:
    """Return `name` if Chroma accepts it as a collection name."""
    if not _COLLECTION.fullmatch(name) or ".." in name or is_address(name):
        raise PermanentError(
            f"{shown(name)} is not a collection name: 3-512 characters, first and last a lowercase letter or digit, "
            "letters, digits, dots, dashes and underscores inside, no two dots in a row, not an IP address"
        )
    return name


def can_be_database(name: str) -> bool:
    """Return whether a database could have this name; if not, it does not exist, and Chroma need not be asked."""
    return 0 < size_bytes(name) <= 512 and not _CONTROL.search(name) and "/" not in name and name not in (".", "..")


def check_custom_id(value: str) -> str:
    """Return `value` if it is valid as a prefix of chunk ids."""
    if not 0 < size_bytes(value) <= MAX_CUSTOM_ID_BYTES or _CONTROL.search(value):
        raise PermanentError(f"custom_id must have 1-{MAX_CUSTOM_ID_BYTES} bytes and no control characters")
    return value


def check_object_key(key: str, prefix: str) -> str:
    """Return `key` if it is the full key of an object below `prefix`."""
    if not 0 < size_bytes(key) <= MAX_OBJECT_KEY_BYTES:
        raise PermanentError(f"object_key must have 1-{MAX_OBJECT_KEY_BYTES} bytes")
    if not key.startswith(prefix):
        raise PermanentError(
            f"object_key {shown(key)} is outside the source's path_prefix {shown(prefix)}; give the full key"
        )
    return key


def check_metadata(values: Mapping[str, object], is_taken: Callable[[str], bool] = lambda _: False) -> Metadata:
    """Return `values` if all are scalars or non-empty arrays of scalars of one type, whole numbers beside others widened.

    A null says nothing and is dropped. Keys that Chroma reserves, and those for which `is_taken` is true, are rejected.
    """
    total, checked = 0, dict[str, Scalar | Sequence[Scalar]]()
    for key, value in values.items():
        _check_metadata_key(key, is_taken)
        if value is None:
            continue
        items = widened([_scalar(key, item) for item in _items(key, value)])
        checked[key] = items if is_array(value) else items[0]
        if len({type(item) for item in items}) > 1:
            raise PermanentError(f"metadata {shown(key)} mixes types; the values of an array must have one type")
        total += len(items)
    if total > MAX_METADATA_VALUES:
        raise PermanentError(f"metadata has more than {MAX_METADATA_VALUES} values; send fewer")
    return checked


def widened(items: list[Scalar]) -> list[Scalar]:
    """Return the items of an array; if some of its numbers are floats, all are."""
    kinds = {type(item) for item in items}
    return [float(item) for item in items] if kinds == {int, float} else items


def size_bytes(text: str) -> int:
    """Return how many bytes `text` has in UTF-8, whatever characters it holds."""
    return len(text.encode("utf-8", "surrogatepass"))


def is_address(name: str) -> bool:
    """Return whether `name` is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_metadata_key(key: str, is_taken: Callable[[str], bool]) -> None:
    if not 0 < size_bytes(key) <= MAX_METADATA_KEY_BYTES or _CONTROL.search(key):
        raise PermanentError(
            f"metadata key {shown(key)} must have 1-{MAX_METADATA_KEY_BYTES} bytes and no control characters"
        )
    if is_reserved(key) or is_taken(key):
        raise PermanentError(
            f"metadata key {shown(key)} is reserved for what syncd or Chroma say of a chunk; choose another"
        )


def _items(key: str, value: object) -> list[object]:
    if not is_array(value):
        return [value]
    if not value:
        raise PermanentError(f"metadata {shown(key)} is an empty array; omit it")
    return value


def _scalar(key: str, value: object) -> Scalar:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, float) and fits(value):
        return value
    if isinstance(value, int):
        if not fits(value):
            raise PermanentError(f"metadata {shown(key)} does not fit in 64 bits; send it as a string")
        return value
    raise PermanentError(f"metadata {shown(key)} must be a string, finite number, boolean, or an array of one of these")
