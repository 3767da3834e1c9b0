"""Checks names of buckets and subscriptions. Pure."""

from __future__ import annotations

import re

from syncd.chroma.naming import is_address
from syncd.errors import PermanentError
from syncd.quoting import shown

_GCS_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_SUBSCRIPTION = re.compile(r"https?://[^/?#@]+/v1/projects/[^/?#]+/subscriptions/[A-Za-z][\w.~+%-]{2,254}")


def check_gcs_bucket(name: str) -> str:
    """Return `name` if it is a valid bucket name (Google Cloud Storage, "Bucket naming requirements"). Raises PermanentError."""
    if not _GCS_BUCKET.fullmatch(name) or ".." in name or is_address(name):
        raise PermanentError(
            f"bucket_name {shown(name)}: 3-222 lowercase letters, digits, dots, dashes and underscores, first and last a "
            "letter or digit, no two dots in a row, not an IP address, and without gs://"
        )
    return name


def check_subscription(queue_url: str) -> str:
    """Return `queue_url` if it can be a subscription's URL. Raises PermanentError."""
    if not _SUBSCRIPTION.fullmatch(queue_url):
        raise PermanentError(
            f"queue_url {shown(queue_url)} is no URL of a subscription, such as "
            "https://pubsub.googleapis.com/v1/projects/PROJECT/subscriptions/SUBSCRIPTION"
        )
    return queue_url
