"""The one list of source types. A new type is its folder and a line here."""

from __future__ import annotations

from syncd.sources.azure_blob.type import AZURE_BLOB
from syncd.sources.folder.type import FOLDER
from syncd.sources.gcs.type import GCS
from syncd.sources.git.type import GIT
from syncd.sources.github.type import GITHUB
from syncd.sources.s3.type import S3
from syncd.sources.type import SourceTypes
from syncd.sources.upload.type import UPLOAD
from syncd.sources.web.type import WEB

TYPES = SourceTypes(GITHUB, S3, WEB, UPLOAD, FOLDER, GIT, GCS, AZURE_BLOB)
