"""Checks names of buckets and objects. Pure; each check raises PermanentError saying what is allowed."""

from __future__ import annotations

import re

from syncd.chroma.naming import is_address
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


def is_standard_key(key: str) -> bool:
    """Return whether a metadata key is reserved for a chunk's lineage, so that callers cannot set it."""
    return key in _STANDARD_KEYS or key in LINEAGE_KEYS


def is_metadata_file(key: str) -> bool:
    """Return whether an object is a metadata file, going by its key."""
    return key.endswith(METADATA_SUFFIX)
