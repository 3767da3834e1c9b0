"""The source type `file_upload`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.model import SourceFacts
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine
from syncd.sources.type import SourceType
from syncd.sources.upload.settings import UPLOAD_NAME, UploadSource, UploadSourceSettings

if TYPE_CHECKING:
    from syncd.sources.upload.factory import UploadFactory


def factory(machine: Machine) -> UploadFactory:
    """Return what opens upload sources."""
    from syncd.sources.upload.factory import UploadFactory

    return UploadFactory(machine)


UPLOAD = SourceType(
    name=UPLOAD_NAME,
    codec=SettingsCodec(UploadSourceSettings),
    shape=UploadSource,
    is_published=True,
    facts=SourceFacts(
        adopts_embedding=True, no_runs="a file_upload source cannot be run on its own; use POST /api/v1/add-file"
    ),
    factory=factory,
)
