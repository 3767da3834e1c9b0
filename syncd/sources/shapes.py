"""API models that the settings of several source types share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from syncd.schema import OwnModel

MaxLag = Annotated[float, Field(gt=0, le=31_536_000)] | None
"""The source is shown as late while a change has waited for longer, in seconds; null: never."""


class Watch(OwnModel):
    """Keeps one collection in sync with the source."""

    target_collection_name: str
    branch: str | None = None
    """Repositories only; the default branch when null."""
    interval_s: Annotated[float, Field(ge=10, le=31_536_000)] = 300.0


class Schedule(OwnModel):
    """Runs the source at a fixed interval, into one collection."""

    interval_s: Annotated[float, Field(ge=60, le=31_536_000)]
    target_collection_name: str | None = None
    """Required if the source itself names no collection."""
