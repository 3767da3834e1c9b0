"""What an S3 source and its transport can be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from syncd.errors import PermanentError

_USUAL_QUEUE = re.compile(
    r"https?://(sqs\.(?P<region>[a-z0-9-]+)|(?P<older>[a-z0-9-]+)\.queue|queue)\.amazonaws\.com(\.cn)?(:443)?/"
)
"""The present and the older forms of queue URLs (AWS General Reference, "Amazon SQS endpoints")."""
_OTHER_QUEUE = re.compile(
    r"https://sqs(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com|api\.aws|api\.amazonwebservices\.com)(\.cn)?/"
)
"""FIPS and dual-stack endpoints."""
_PRIVATE_QUEUE = re.compile(
    r"https?://[a-z0-9.-]+\.sqs\.(?P<region>[a-z0-9-]+)\.vpce\.amazonaws\.com(\.cn)?(:[0-9]+)?/"
)
"""An interface endpoint in somebody's own network."""
OLDEST_REGION = "us-east-1"


class AutoSync(StrEnum):
    """What events do; the published values."""

    NONE = "none"
    DIRECT = "direct"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class AwsKey:
    """A long-lived or temporary key. Its text forms never show the secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where AWS, or a service that speaks its protocol, is reached. Equal endpoints share connections."""

    region: str
    key: AwsKey | None = None
    """None: the ordinary AWS chain (environment, profile, container, instance role)."""
    profile: str | None = None
    """A profile of the AWS configuration files, where `key` is None."""
    url: str | None = None
    """Base URL of MinIO, R2, Ceph and the like; None is AWS itself."""
    path_style: bool = False
    """`host/bucket/key` instead of `bucket.host/key`; servers that are not AWS often need it."""


@dataclass(frozen=True, slots=True)
class S3Settings:
    """One source: a bucket, or the part of it below `path_prefix`."""

    bucket: str
    endpoint: Endpoint
    collection: str
    """Where objects go unless somebody names another collection."""
    path_prefix: str = ""
    auto_sync: AutoSync = AutoSync.NONE
    queue_url: str | None = None
    """Where this source's events arrive, when `auto_sync` is on."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Bounds on talking to S3. Nothing waits for ever, nothing is held in memory beyond a piece."""

    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 30.0
    """The longest silence of a connection: before the answer, and between two pieces of a body."""
    download_timeout_s: float = 1800.0
    """From opening a body to its last byte, attempts included; 200 MB at 1 Mbit/s."""
    call_timeout_s: float = 120.0
    """For everything but bodies, attempts included."""
    attempts: int = 6
    """Of one call, or of one body without progress in between."""
    backoff_base_s: float = 0.2
    backoff_cap_s: float = 20.0
    downloads: int = 16
    """Bodies in flight at once, over all sources of one endpoint."""
    connections: int = 32
    range_size_bytes: int = 64 << 20
    """Bodies above this are fetched in ranges of this size."""
    max_object_size_bytes: int = 200 << 20
    """The documented limit on one file, as uploads count it."""
    spool_dir: Path | None = None
    """Where bodies above 1 MiB are spooled; None is the system's temporary folder."""


@dataclass(frozen=True, slots=True)
class PollerSettings:
    """Bounds on one queue's poller."""

    wait_s: int = 20
    """Long polling; SQS allows 20 at most."""
    visibility_s: int = 120
    """How long a message stays hidden after each heartbeat; a killed daemon's messages come back after this."""
    messages_in_hand: int = 100
    """Messages taken and not yet deleted. When they are so many, no more are received: that is the backpressure."""
    hand_over_s: float = 300.0
    """A message whose work is durable but takes longer than this is deleted: the journal carries it alone."""
    max_receives: int = 5
    """On a queue without a dead-letter queue, a poison message is deleted after so many deliveries."""
    retry_cap_s: float = 300.0
    """The longest time until a message that failed for now is delivered again."""


def settings_from(values: Mapping[str, Any], key: AwsKey | None = None, queue_url: str | None = None) -> S3Settings:
    """Return the settings of a stored source, whose JSON `values` are named as the API and the configuration name them.

    `key` is the decrypted credential, where it has one; `queue_url` serves sources that name no queue of their own.
    """
    return S3Settings(
        bucket=values["bucket_name"],
        endpoint=Endpoint(
            region=values["region"],
            key=key,
            profile=values.get("profile"),
            url=values.get("endpoint_url"),
            path_style=bool(values.get("path_style")),
        ),
        collection=values["collection_name"],
        path_prefix=values.get("path_prefix") or "",
        auto_sync=AutoSync(values.get("auto_sync") or "none"),
        queue_url=values.get("queue_url") or queue_url,
    )


def queue_endpoint(queue_url: str, endpoint: Endpoint) -> Endpoint:
    """Return where a queue is reached, given its bucket's endpoint: at the host, and in the region, that its URL names.

    The bucket may be of another service or region (SNS and EventBridge reach further than S3 itself). So how a queue is
    reached is the same whoever names it, but for the key. Raises PermanentError for what is no URL.
    """
    if match := _USUAL_QUEUE.match(queue_url):
        return replace(endpoint, region=match["region"] or match["older"] or OLDEST_REGION, url=None)
    try:
        place = urlsplit(queue_url)
    except ValueError:
        place = None
    if place is None or place.scheme not in ("http", "https") or not place.hostname:
        raise PermanentError(f"queue_url {queue_url!r} is no URL of a queue; `syncd s3 setup` prints it")
    match = _OTHER_QUEUE.match(queue_url) or _PRIVATE_QUEUE.match(queue_url)
    region = match["region"] if match else endpoint.region
    return replace(endpoint, region=region, url=f"{place.scheme}://{place.netloc}")


def is_aws_queue(queue_url: str) -> bool:
    """Tell whether a queue URL leads to AWS itself. Other hosts below amazonaws.com may be anybody's."""
    return bool(_USUAL_QUEUE.match(queue_url) or _OTHER_QUEUE.match(queue_url))
