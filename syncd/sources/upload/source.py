"""Uploaded files: each invocation carries one file, which lies in the upload folder until the invocation is complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from syncd.errors import PermanentError
from syncd.model import Checkpoint, Document, Run, Scalar, Upload, chunk_prefix
from syncd.sources.bodies import PathBody


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
            name=request.filename,
            media_type=request.content_type,
            metadata=metadata,
            changed_at=run.invocation.created_at,
        )
        yield Checkpoint(run.cursor or "")
