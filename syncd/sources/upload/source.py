"""Uploaded files: each invocation carries one file, which lies in the upload folder until the invocation is complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from mimetypes import MimeTypes
from pathlib import Path, PurePosixPath

from syncd.errors import PermanentError
from syncd.model import Checkpoint, Document, Run, Scalar, Upload, chunk_prefix
from syncd.model.formats import TEXT, format_of, media_types
from syncd.sources.bodies import PathBody

ANY_BYTES = "application/octet-stream"
"""The media type that says nothing."""
_OTHER_TYPES = MimeTypes()
"""Of text and code; those that Python knows, whatever this machine's files say."""


class UploadedFileSource:
    """The `file_upload` source of a database. What was uploaded before is never touched by a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint]:
        """Yield the file of this invocation. Raises PermanentError when it is gone from the upload folder."""
        request = run.invocation.request
        if not isinstance(request, Upload) or not (path := self._folder / request.file).exists():
            raise PermanentError("the uploaded file is no longer here; upload it again")
        metadata: dict[str, Scalar | Sequence[Scalar]] = {"filename": request.filename, **(request.metadata or {})}
        if request.custom_id:
            metadata["custom_id"] = request.custom_id
        yield Document(
            key=request.custom_id or request.filename,
            version=request.sha256,
            body=PathBody(path),
            chunk_prefix=chunk_prefix(request.filename, request.custom_id),
            name=overridden(request.filename, request.content_type or "")
            if request.overrides_suffix
            else request.filename,
            media_type=request.content_type,
            metadata=metadata,
            changed_at=run.invocation.created_at,
        )
        yield Checkpoint(run.cursor or "")


def overridden(name: str, media_type: str) -> str:
    """Return the file name with the suffix of a media type, which overrides its own; as it is where the type has none."""
    plain = media_type.partition(";")[0].strip().lower()
    suffix = media_types().get(plain) or _OTHER_TYPES.guess_extension(plain)
    suffix = suffix or (".txt" if plain.startswith("text/") else None)
    own = format_of(name, None)
    if plain == ANY_BYTES or suffix is None or (own is not TEXT and own is format_of(f"any{suffix}", None)):
        return name
    return name.removesuffix(PurePosixPath(name).suffix) + suffix
