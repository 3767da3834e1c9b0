"""Settings of an upload source, of which there are none; models for the store and the API."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict

from syncd.model import SourceSettings
from syncd.schema import Model

UPLOAD_NAME = "file_upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSourceSettings(SourceSettings):
    """The uploaded files of one database."""


class UploadSource(Model):
    """Files sent to `POST /api/v1/add-file`; it has no settings."""

    model_config = ConfigDict(extra="forbid")
