"""Settings of a GCS source: as stored, in the API and in the configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from syncd.sources.gcs.naming import check_gcs_bucket, check_subscription
from syncd.sources.objects.settings import (
    ObjectStoreSection,
    ObjectStoreSettings,
    ObjectStoreShape,
    ObjectStoreTable,
)
from syncd.sources.table import checked_with


@dataclass(frozen=True, slots=True, kw_only=True)
class GcsSourceSettings(ObjectStoreSettings):
    """A bucket of Google Cloud Storage, or a part of it."""

    bucket_name: str
    anonymous: bool | None = None

    @property
    def place(self) -> str:
        """Return the bucket's URL."""
        return f"gs://{self.bucket_name}"


class GcsSource(ObjectStoreShape):
    """A bucket of Google Cloud Storage, read with a service account's key, or anonymously where it is public."""

    bucket_name: Annotated[str, Field(min_length=3, max_length=222)]
    service_account_key: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    """The JSON text of a service account's key file, which will be stored encrypted."""


class GcsTable(ObjectStoreTable):
    """A bucket of Google Cloud Storage; read with `credential_file`, or else as this machine is logged in, unless `anonymous`."""

    type: Literal["gcs"]
    bucket_name: Annotated[str, checked_with(check_gcs_bucket)]
    queue_url: Annotated[str, checked_with(check_subscription)] | None = None
    anonymous: bool = False

    def own_settings(self) -> GcsSourceSettings:
        """Return the settings that only this type has."""
        return GcsSourceSettings(
            bucket_name=self.bucket_name,
            path_prefix=self.path_prefix,
            include_globs=self.include_globs,
            exclude_globs=self.exclude_globs,
            endpoint_url=self.endpoint_url,
            queue_url=self.queue_url,
            credential_file=self.file,
            anonymous=self.anonymous,
            schedule=self.schedule,
        )


class GcsSection(ObjectStoreSection):
    """Sources in Google Cloud Storage."""
