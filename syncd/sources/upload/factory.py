"""Opens upload sources, and removes uploaded files that nobody needs any more."""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn, Self

import structlog

from syncd.errors import PermanentError
from syncd.model import Invocation, SourceRecord, State, Upload
from syncd.runtime.durable import sync_names
from syncd.sources.factory import Machine, Requester, SourceFactory
from syncd.sources.upload.files import files_needed, upload_folder
from syncd.sources.upload.settings import UploadSourceSettings
from syncd.sources.upload.source import UploadedFileSource
from syncd.store import Store

log = structlog.get_logger()


class UploadFactory(SourceFactory[UploadSourceSettings]):
    """The upload sources of the daemon: one per database, made with its first upload."""

    def __init__(self, machine: Machine) -> None:
        self._folder = upload_folder(machine.state)
        self._store: Store = machine.store

    async def __aenter__(self) -> Self:
        """Create the folder, and delete files that no invocation owns, which a crash may have left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Otherwise a power failure could take the folder away, with the files in it that were acknowledged.
        sync_names(self._folder.parent)
        needed = await files_needed(self._store.database)
        for file in sorted(self._folder.iterdir()):
            if file.is_file() and file.name not in needed:
                log.info("upload.orphan_removed", file=file.name)
                file.unlink()
        return self

    async def open(self, record: SourceRecord[UploadSourceSettings]) -> UploadedFileSource:
        """Return the source, which reads the upload folder."""
        return UploadedFileSource(self._folder)

    def accept(self, settings: UploadSourceSettings, requester: Requester) -> NoReturn:
        """Raise PermanentError, because upload sources are created by the first upload."""
        raise PermanentError("sources of this type are created by POST /api/v1/add-file; upload a file instead")

    async def settled(self, invocation: Invocation) -> None:
        """Delete the file of an invocation that is complete or cancelled; a failed one's stays for a retry."""
        if not isinstance(invocation.request, Upload):
            return
        now = await self._store.invocations.get(invocation.id)
        if now is not None and now.state in (State.COMPLETE, State.CANCELLED):
            with suppress(OSError):
                (self._folder / invocation.request.file).unlink()
