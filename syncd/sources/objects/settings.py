"""Settings that sources of all plain object stores have: as stored, in the API, in the configuration file, on the command line."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from typing_extensions import override

from syncd.json_types import JsonObject
from syncd.model import SecretsPolicy, SourceSchedule, SourceSettings
from syncd.schema import Int32, OwnModel, OwnPath, Table, UniqueStrings
from syncd.sources import shapes
from syncd.sources.objects.endpoints import AllowedEndpoint
from syncd.sources.objects.keys import check_prefix, overlap, prefix_notice
from syncd.sources.table import SourceTable, checked_with, interval

SECRET_FILE_MAX_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStoreSettings(SourceSettings):
    """A bucket or container, or a part of it. It contains no secrets: `credential_id` refers to one, the file is the configuration's."""

    path_prefix: str | None = None
    include_globs: tuple[str, ...] | None = None
    exclude_globs: tuple[str, ...] | None = None
    endpoint_url: str | None = None
    queue_url: str | None = None
    """Where events of the bucket arrive; None: it is only listed."""
    credential_id: int | None = None
    credential_file: str | None = None

    @property
    def credential_place(self) -> str:
        """Where the configuration says that the credential is; ''."""
        return self.credential_file or ""

    @property
    def follows_events(self) -> bool:
        """Whether changes arrive as events."""
        return self.queue_url is not None

    @property
    def notice(self) -> str:
        """Say that a prefix is no folder, where it looks like one."""
        return prefix_notice(self.path_prefix)

    @override
    def overlaps(self, other: SourceSettings) -> bool:
        """Return whether keys of one bucket or container begin with the prefixes of both, for the same collection."""
        if not isinstance(other, ObjectStoreSettings) or self.default_collection is None:
            return False
        place = (self.place, self.endpoint_url, self.default_collection)
        same = place == (other.place, other.endpoint_url, other.default_collection)
        return same and overlap(self.path_prefix, other.path_prefix)

    @property
    def without_credential(self) -> Self:
        """Return the settings apart from what the store is read with."""
        return replace(self, credential_id=None, credential_file=None)


class ObjectStoreShape(OwnModel):
    """What the API takes of every such source."""

    path_prefix: Annotated[str, Field(max_length=1024)] | None = None
    """Keys that do not begin so are ignored; it is no folder unless it ends with a slash."""
    include_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    exclude_globs: Annotated[UniqueStrings, Field(max_length=200)] | None = None
    credential_id: Int32 | None = None
    """A stored credential, in place of an inline one; without either it is read anonymously."""
    endpoint_url: Annotated[str, Field(max_length=2048)] | None = None
    """For emulators and other clouds, if the daemon's configuration allows it."""
    queue_url: Annotated[str, Field(max_length=2048)] | None = None
    """Where events of the bucket arrive, read with the same credential; without it the bucket is only listed."""
    schedule: shapes.Schedule | None = None
    """How often it is listed, and which collection is kept in step with it."""
    max_lag_s: shapes.MaxLag = None
    secrets: SecretsPolicy | None = None

    @model_validator(mode="after")
    def queue_with_collection(self) -> Self:
        """Check that events have a collection to be brought into."""
        if self.queue_url and not self.schedule:
            raise ValueError("queue_url needs a schedule, which names the collection that is kept in step")
        return self


class ObjectStoreTable(SourceTable):
    """What the configuration file takes of every such source; it is listed every `interval_s`, with 0 only on demand."""

    path_prefix: Annotated[str, checked_with(check_prefix)] | None = None
    include_globs: tuple[str, ...] = ("*",)
    exclude_globs: tuple[str, ...] = ()
    endpoint_url: str | None = None
    queue_url: str | None = None
    credential_file: OwnPath | None = None
    interval_s: Annotated[float | None, Field(ge=0), interval(60)] = 3600.0

    @property
    def schedule(self) -> SourceSchedule | None:
        """How often it is listed."""
        if not self.interval_s:
            return None
        return SourceSchedule(interval_s=self.interval_s, target_collection_name=self.collection)

    @property
    def file(self) -> str | None:
        """The file with the credential."""
        return str(self.credential_file) if self.credential_file else None


class ObjectStoreSection(Table):
    """What the configuration says of all sources of one such type."""

    allowed_endpoints: tuple[AllowedEndpoint, ...] = ()
    """Values of `endpoint_url` and hosts of `queue_url`, besides the cloud's own, that the network API accepts; none by default."""
    visibility_s: Annotated[int, Field(ge=1, le=600)] = 120
    """How long an event stays hidden after each heartbeat, and so when those of a killed daemon are delivered again."""


def add_store_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `sources add` that all such types have."""
    parser.add_argument("--prefix", help="index only keys that begin so; a folder ends with a slash")
    parser.add_argument("--include", action="append", metavar="GLOB", help="index only these; may be repeated")
    parser.add_argument("--exclude", action="append", metavar="GLOB", help="leave these out; may be repeated")
    parser.add_argument("--credential-file", type=Path, help="file with the credential (default: read anonymously)")
    parser.add_argument("--interval-s", type=int, default=3600, help="how often to list a watched one")
    parser.add_argument("--endpoint-url", help="for emulators and other clouds")
    parser.add_argument("--queue-url", help="where events of the watched one arrive (default: it is only listed)")


def store_settings(args: Namespace) -> JsonObject:
    """Return the settings that these arguments describe, as the API takes them."""
    schedule = {"target_collection_name": args.watch, "interval_s": args.interval_s}
    given: JsonObject = {
        "path_prefix": args.prefix,
        "include_globs": args.include,
        "exclude_globs": args.exclude,
        "endpoint_url": args.endpoint_url,
        "queue_url": args.queue_url,
    }
    return {**given, "schedule": schedule} if args.watch else given
