"""Where a bucket or a queue is reached, and with which key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from syncd.errors import PermanentError
from syncd.schema import http_parts

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


def queue_endpoint(queue_url: str, endpoint: Endpoint) -> Endpoint:
    """Return where a queue is reached, given its bucket's endpoint: at the host, and in the region, that its URL names.

    The bucket may be of another service or region (SNS and EventBridge reach further than S3 itself). So how a queue is
    reached is the same whoever names it, but for the key. Raises PermanentError for what is no URL.
    """
    if match := _USUAL_QUEUE.match(queue_url):
        return replace(endpoint, region=match["region"] or match["older"] or OLDEST_REGION, url=None)
    place = http_parts(queue_url)
    if place is None:
        raise PermanentError(f"queue_url {queue_url!r} is no URL of a queue; `syncd s3 setup` prints it")
    match = _OTHER_QUEUE.match(queue_url) or _PRIVATE_QUEUE.match(queue_url)
    region = match["region"] if match else endpoint.region
    return replace(endpoint, region=region, url=f"{place.scheme}://{place.netloc}")


def is_aws_queue(queue_url: str) -> bool:
    """Tell whether a queue URL leads to AWS itself. Other hosts below amazonaws.com may be anybody's."""
    return bool(_USUAL_QUEUE.match(queue_url) or _OTHER_QUEUE.match(queue_url))
