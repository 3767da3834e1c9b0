"""Checks names of buckets, prefixes and objects. Pure; each check raises PermanentError saying what is allowed."""

from __future__ import annotations

import re

from syncd.chroma.naming import MAX_OBJECT_KEY_BYTES, is_address
from syncd.errors import PermanentError
from syncd.model import LINEAGE_KEYS
from syncd.quoting import shown

METADATA_SUFFIX = ".meta.json"

_STANDARD_KEYS = frozenset({"bucket", "object_key", "custom_id"})
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_bucket(name: str) -> str:
    """Return `name` if it is a valid bucket name (Amazon S3 User Guide, "Bucket naming rules")."""
    if not _BUCKET.fullmatch(name) or ".." in name or is_address(name):
        raise PermanentError(
            f"bucket_name {shown(name)}: 3-63 lowercase letters, digits, dots and dashes, first and last a letter or "
            "digit, no two dots in a row, not an IP address"
        )
    return name


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is a valid key prefix."""
    if len(prefix.encode()) > MAX_OBJECT_KEY_BYTES - 1 or prefix.startswith("/"):
        raise PermanentError(
            f"path_prefix {shown(prefix)}: at most {MAX_OBJECT_KEY_BYTES - 1} bytes and no slash in front; "
            "S3 compares whole keys, which do not begin with one as paths do: write 'docs/', not '/docs/'"
        )
    return prefix


def is_standard_key(key: str) -> bool:
    """Return whether a metadata key is reserved for a chunk's lineage, so that callers cannot set it."""
    return key in _STANDARD_KEYS or key in LINEAGE_KEYS


def is_metadata_file(key: str) -> bool:
    """Return whether an object is a metadata file, going by its key."""
    return key.endswith(METADATA_SUFFIX)


def is_folder(key: str, size_bytes: int) -> bool:
    """Return whether an object is the empty marker with which consoles represent a folder."""
    return size_bytes == 0 and key.endswith("/")
