"""What an S3 source is told: as it is stored, as the API and the configuration file have it, and as work needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from syncd.model import SourceSchedule, SourceSettings
from syncd.model.limits import MAX_DOCUMENT_SIZE_BYTES
from syncd.schema import ExtendedModel, Int32, Table
from syncd.sources import shapes
from syncd.sources.s3.endpoint import AwsKey, Endpoint
from syncd.sources.table import SourceTable, interval

NAME = "s3"
"""What the type is called."""


class AutoSync(StrEnum):
    """What events do; the published values."""

    NONE = "none"
    DIRECT = "direct"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3SourceSettings(SourceSettings):
    """A bucket, or the part of it below `path_prefix`. Secrets are not in it: `aws_credential_id` refers to one."""

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
    def follows_events(self) -> bool:
        """Whether events say what changed."""
        return self.auto_sync not in (None, AutoSync.NONE)


class S3Source(ExtendedModel):
    """A bucket or a prefix of one, with either a stored credential or an inline key, which is then stored."""

    ADDITIONS = frozenset({"queue_url", "endpoint_url", "path_style", "schedule"})

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
    """MinIO, R2, Ceph and the like, where the daemon's configuration allows it; AWS when null."""
    path_style: bool | None = None
    """`host/bucket/key` instead of `bucket.host/key`."""
    schedule: shapes.Schedule | None = None

    @model_validator(mode="after")
    def one_credential(self) -> Self:
        """Require a stored credential or a whole inline pair, never both."""
        inline = (self.aws_access_key_id, self.aws_secret_access_key)
        if any(inline) and not all(inline):
            raise ValueError("give aws_access_key_id and aws_secret_access_key together")
        if any(inline) == (self.aws_credential_id is not None):
            raise ValueError("give either aws_credential_id or aws_access_key_id with aws_secret_access_key")
        return self


class S3Section(Table):
    """S3 sources."""

    queue_url: str | None = None
    """Where the events of sources arrive that name no queue of their own, such as those made through the API."""
    visibility_s: Annotated[int, Field(ge=1, le=43_200)] = 120
    """How long a message stays hidden after each heartbeat; those of a killed daemon come back after it."""
    allowed_endpoints: tuple[Annotated[str, Field(pattern=r"^https?://[^/?#@]+/?$")], ...] = ()
    """What sources made through the network API may name as `endpoint_url` beside AWS; none by default."""


class S3Table(SourceTable):
    """A bucket or a part of it; without keys here, the ordinary AWS credential chain is used."""

    type: Literal["s3"]
    bucket_name: str
    region: str
    path_prefix: str | None = None
    auto_sync: Literal["none", "direct", "metadata"] = "none"
    queue_url: str | None = None
    endpoint_url: str | None = None
    path_style: bool = False
    profile: str | None = None
    """A profile of the AWS configuration files, instead of the ordinary chain."""
    reconcile_interval_s: Annotated[float | None, Field(ge=0), interval(60)] = 86400.0

    def own_settings(self) -> S3SourceSettings:
        """Return what only S3 sources are told."""
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
        """Raise ValueError where the source follows events and has no queue, its own or the common one."""
        section = sections.get(S3Section)
        common = section.queue_url if isinstance(section, S3Section) else None
        if self.auto_sync != "none" and not (self.queue_url or common):
            needed = f"sources: auto_sync of {self.name!r} needs queue_url, there or in [s3]"
            raise ValueError(f"{needed}; `syncd s3 setup` makes the queue and prints its URL")


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
    max_object_size_bytes: int = MAX_DOCUMENT_SIZE_BYTES
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


def settings_from(given: S3SourceSettings, key: AwsKey | None = None, queue_url: str | None = None) -> S3Settings:
    """Return what work with a stored source needs.

    `key` is the decrypted credential, where it has one; `queue_url` serves sources that name no queue of their own.
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
