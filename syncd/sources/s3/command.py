"""`syncd sources add s3`: a bucket with the user's own key."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Protocol, cast

from syncd.errors import ConfigError
from syncd.json_types import JsonObject


class FoundKey(Protocol):
    """What botocore, which is untyped, says of a key."""

    access_key: str
    secret_key: str
    token: str | None


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add s3`."""
    parser.add_argument("bucket_name")
    parser.add_argument("--region", required=True, help="AWS region of the bucket, such as eu-central-1")
    parser.add_argument("--prefix", help="index only keys that begin so; a folder ends with a slash")
    parser.add_argument(
        "--profile",
        help="profile in the AWS configuration files of which the daemon keeps the key (default: the key in "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the default profile's)",
    )
    parser.add_argument("--queue-url", help="queue of the bucket's events; see: syncd s3 setup")
    parser.add_argument("--interval-s", type=int, default=86_400, help="how often the whole bucket is compared")
    parser.add_argument("--endpoint-url", help="for MinIO, R2, Ceph and similar stores")
    parser.add_argument("--path-style", action="store_true", help="host/bucket/key instead of bucket.host/key")


def settings(args: Namespace) -> JsonObject:
    """Return the settings that the arguments describe, as the API takes them. Raises ConfigError without a key or a collection."""
    if not args.watch:
        raise ConfigError("a bucket needs a collection: name the one to keep in sync with --watch COLLECTION")
    return {
        "bucket_name": args.bucket_name,
        "region": args.region,
        "collection_name": args.watch,
        "path_prefix": args.prefix,
        "auto_sync": "direct" if args.queue_url else None,
        "queue_url": args.queue_url,
        "endpoint_url": args.endpoint_url,
        "path_style": args.path_style or None,
        "schedule": {"interval_s": args.interval_s},
        **lasting_key(args.profile),
    }


def lasting_key(profile: str | None) -> JsonObject:
    """Return the key that AWS's own programs would use. Raises ConfigError if there is none that lasts."""
    # The AWS libraries take a while to import, which other commands should not have to wait for.
    from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs] - it has none
    from botocore.session import Session  # pyright: ignore[reportMissingTypeStubs] - likewise

    how = "name a profile with a lasting key with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    try:
        found = Session(profile=profile).get_credentials()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - likewise
        key = cast("FoundKey | None", found)
    except BotoCoreError as error:
        raise ConfigError(f"no key for AWS: {error}; {how}") from error
    if key is None:
        raise ConfigError(f"no key for AWS was found; {how}")
    if key.token:
        raise ConfigError(f"the key for AWS is a temporary one, which the daemon could not use for long; {how}")
    return {"aws_access_key_id": key.access_key, "aws_secret_access_key": key.secret_key}
