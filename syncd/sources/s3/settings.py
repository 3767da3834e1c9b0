"""Settings of an S3 source: as stored, in the API, in the configuration file, and as its runs need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from syncd.model import SecretsPolicy, SourceSchedule, SourceSettings
from syncd.schema import ExtendedModel, Int32, Table
from syncd.sources import shapes
from syncd.sources.objects.endpoints import AllowedEndpoint
from syncd.sources.objects.keys import check_prefix, overlap, prefix_notice
from syncd.sources.s3.endpoint import AwsKey, Endpoint
from syncd.sources.table import SourceTable, checked_with, interval

S3_NAME = "s3"
"""The type's published name."""


class AutoSync(StrEnum):
    """How events are used; the published values."""

    NONE = "none"
    DIRECT = "direct"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3SourceSettings(SourceSettings):
    """A bucket, or the part of it below `path_prefix`. It contains no secrets; `aws_credential_id` refers to one."""

    bucket_name: str
    region: str
    path_prefix: str | None = None
    auto_sync: AutoSync | None = None
    aws_credential_id: int | None = None
    queue_url: str | None = None
    endpoint_url: str | None = None
    path_style: bool | None = None
    profile: str | None = None

    @property
    def place(self) -> str:
        """Return the bucket."""
        return self.bucket_name

    @property
    def notice(self) -> str:
        """Say that a prefix is no folder, where it looks like one."""
        return prefix_notice(self.path_prefix)

    @property
    def id_root(self) -> str:
        """Return the bucket: another one in the same collection may have the same keys."""
        return self.bucket_name

    @property
    def without_credential(self) -> S3SourceSettings:
        """Return the settings apart from the key that they are read with."""
        return replace(self, aws_credential_id=None)

    @override
    def overlaps(self, other: SourceSettings) -> bool:
        """Return whether keys of one bucket begin with the prefixes of both, for the same collection."""
        if not isinstance(other, S3SourceSettings):
            return False
        place = (self.bucket_name, self.endpoint_url, self.default_collection)
        same = place == (other.bucket_name, other.endpoint_url, other.default_collection)
        return same and overlap(self.path_prefix, other.path_prefix)

    @property
    def follows_events(self) -> bool:
        """Whether changes arrive as events."""
        return self.auto_sync not in (None, AutoSync.NONE)


class S3Source(ExtendedModel):
    """A bucket or a prefix of one, with either a stored credential or an inline key, which will be stored."""

    ADDITIONS = frozenset({"queue_url", "endpoint_url", "path_style", "schedule", "max_lag_s", "secrets"})

    bucket_name: Annotated[str, Field(min_length=3, max_length=255)]
    region: Annotated[str, Field(min_length=1, max_length=64)]
    collection_name: str
    path_prefix: Annotated[str, Field(max_length=1024)] | None = None
    auto_sync: Literal["none", "direct", "metadata"] | None = None
    aws_credential_id: Int32 | None = None
    aws_access_key_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    aws_secret_access_key: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    queue_url: Annotated[str, Field(max_length=2048)] | None = None
    """Where the bucket's events arrive; the daemon's own `s3.queue_url` when null."""
    endpoint_url: Annotated[str, Field(max_length=2048)] | None = None
    """For MinIO, R2, Ceph and similar stores, if the daemon's configuration allows it; AWS when null."""
    path_style: bool | None = None
    """`host/bucket/key` instead of `bucket.host/key`."""
    schedule: shapes.Schedule | None = None
    max_lag_s: shapes.MaxLag = None
    secrets: SecretsPolicy | None = None

    @model_validator(mode="after")
    def one_credential(self) -> Self:
        """Check that there is either a stored credential or a complete inline key."""
        inline = (self.aws_access_key_id, self.aws_secret_access_key)
        if any(inline) and not all(inline):
            raise ValueError("give aws_access_key_id and aws_secret_access_key together")
        if any(inline) == (self.aws_credential_id is not None):
            raise ValueError("give either aws_credential_id or aws_access_key_id with aws_secret_access_key")
        return self


class S3Section(Table):
    """S3 sources."""

    queue_url: str | None = None
    """The queue of sources that name none of their own."""
    visibility_s: Annotated[int, Field(ge=1, le=43_200)] = 120
    """Visibility timeout: how long a message stays invisible after each heartbeat, and so when a killed daemon's messages reappear."""
    allowed_endpoints: tuple[AllowedEndpoint, ...] = ()
    """Values of `endpoint_url`, besides AWS, that the network API accepts; none by default."""


class S3Table(SourceTable):
    """A bucket or a part of it; its credentials come from the standard AWS chain, or from `profile`."""

    type: Literal["s3"]
    bucket_name: str
    region: str
    path_prefix: Annotated[str, checked_with(check_prefix)] | None = None
    auto_sync: Literal["none", "direct", "metadata"] = "none"
    queue_url: str | None = None
    endpoint_url: str | None = None
    path_style: bool = False
    profile: str | None = None
    """A profile in the AWS configuration files, instead of the standard chain."""
    reconcile_interval_s: Annotated[float | None, Field(ge=0), interval(60)] = 86400.0

    def own_settings(self) -> S3SourceSettings:
        """Return the settings that only this type has."""
        every_s = self.reconcile_interval_s
        schedule = SourceSchedule(interval_s=every_s, target_collection_name=self.collection) if every_s else None
        return S3SourceSettings(
            bucket_name=self.bucket_name,
            region=self.region,
            path_prefix=self.path_prefix,
            auto_sync=AutoSync(self.auto_sync),
            queue_url=self.queue_url,
            endpoint_url=self.endpoint_url,
            path_style=self.path_style,
            profile=self.profile,
            schedule=schedule,
        )

    def check_beside(self, sections: Mapping[type[Table], Table], state: Path) -> None:
        """Raise ValueError if the source follows events but has no queue, neither its own nor the common one."""
        section = sections.get(S3Section)
        common = section.queue_url if isinstance(section, S3Section) else None
        if self.auto_sync != "none" and not (self.queue_url or common):
            needed = f"sources: auto_sync of {self.name!r} needs queue_url, there or in [s3]"
            raise ValueError(f"{needed}; `syncd s3 setup` creates the queue and prints its URL")


@dataclass(frozen=True, slots=True)
class S3Settings:
    """One source: a bucket, or the part of it below `path_prefix`."""

    bucket: str
    endpoint: Endpoint
    collection: str
    """The collection of objects for which no other one is named."""
    path_prefix: str = ""
    auto_sync: AutoSync = AutoSync.NONE
    queue_url: str | None = None
    """The queue of this source's events, if `auto_sync` is on."""


def settings_from(given: S3SourceSettings, key: AwsKey | None = None, queue_url: str | None = None) -> S3Settings:
    """Return the settings with which a stored source is opened.

    `key` is the decrypted credential, if it has one; `queue_url` is for sources that name no queue of their own.
    """
    return S3Settings(
        bucket=given.bucket_name,
        endpoint=Endpoint(
            region=given.region,
            key=key,
            profile=given.profile,
            url=given.endpoint_url,
            path_style=bool(given.path_style),
        ),
        collection=given.collection_name or "",
        path_prefix=given.path_prefix or "",
        auto_sync=given.auto_sync or AutoSync.NONE,
        queue_url=given.queue_url or queue_url,
    )
