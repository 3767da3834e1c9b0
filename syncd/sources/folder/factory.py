"""Opens folder sources, and watches their folders."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from syncd.errors import PermanentError
from syncd.model import Request, SomeKeys, SourceRecord, WholeSource
from syncd.model.watching import Report, unreported
from syncd.sources.factory import Machine, Requester, SourceFactory
from syncd.sources.folder.documents import FolderSettings
from syncd.sources.folder.notices import Notices
from syncd.sources.folder.root import ANYWHERE, Root
from syncd.sources.folder.settings import FolderSection, FolderSourceSettings
from syncd.sources.folder.source import FolderTreeSource
from syncd.sources.folder.watch import FolderWatcher
from syncd.sources.globs import EVERYTHING


class FolderFactory(SourceFactory[FolderSourceSettings]):
    """The folder sources of the daemon."""

    def __init__(self, machine: Machine) -> None:
        section = machine.section(FolderSection)
        self._max_file_size_bytes = section.max_file_size_bytes
        self._allowed_roots = [(root, root.real_path) for root in section.allowed_roots]
        self._state = machine.state
        self._spool_folder = machine.spool_folder
        self._document_suffixes = machine.document_suffixes
        self._notices = Notices()

    async def open(self, record: SourceRecord[FolderSourceSettings]) -> FolderTreeSource:
        """Return the source of a record. Raises ConfigError for an invalid glob."""
        return self._opened(record)

    def accept(self, settings: FolderSourceSettings, requester: Requester) -> FolderSourceSettings:
        """Resolve the path: untrusted callers may name only paths below the roots that they are allowed, and nobody the daemon's own state.

        Raises PermanentError.
        """
        if "\0" in settings.path:
            raise PermanentError("path must not contain a NUL character")
        roots = ANYWHERE if requester.is_trusted else self._roots(requester)
        path = Path(os.path.realpath(settings.path))
        if not Path(settings.path).is_absolute() or not any(path.is_relative_to(root) for root in roots):
            allowed = ", ".join(map(str, roots)) or "none"
            raise PermanentError(
                f"path must be absolute and below one of the folders that the configuration allows: {allowed}"
            )
        Root(path, state=self._state).check()
        return replace(settings, path=str(path), needs_allowed_root=None if requester.is_trusted else True)

    @override
    async def examine(self, record: SourceRecord[FolderSourceSettings]) -> None:
        """Open the folder, too: a daemon would wait for one that is missing."""
        await super().examine(record)
        with self._opened(record).tree.root.opened():
            pass

    async def watch(
        self, record: SourceRecord[FolderSourceSettings], report: Report = unreported
    ) -> AsyncGenerator[Request]:
        """Ask for everything at once, then for the paths that changed. Stopping takes up to a second.

        Raises ConfigError for an invalid glob.
        """
        async with aclosing(FolderWatcher(self._opened(record).tree, self._notices, report).hints()) as hints:
            async for keys in hints:
                yield SomeKeys(tuple(sorted(keys))) if keys else WholeSource()

    def _roots(self, requester: Requester) -> tuple[Path, ...]:
        return tuple(path for root, path in self._allowed_roots if root.serves(requester))

    def _opened(self, record: SourceRecord[FolderSourceSettings]) -> FolderTreeSource:
        given = record.settings
        # Who made it is not known any more; a root that names no databases has been allowed to an unlimited token.
        roots = self._roots(Requester(record.database, is_unlimited=True))
        settings = FolderSettings(
            id_root=record.id_root or record.name or record.id,
            path=Path(given.real_path or given.path),
            include_globs=given.include_globs or EVERYTHING,
            exclude_globs=given.exclude_globs or (),
            max_file_size_bytes=self._max_file_size_bytes,
            document_suffixes=self._document_suffixes,
            declared_path=Path(given.path) if given.real_path else None,
            allowed_roots=roots if given.needs_allowed_root else ANYWHERE,
            state=self._state,
        )
        return FolderTreeSource(settings, self._spool_folder)
