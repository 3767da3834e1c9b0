"""Opens sources: a stored record and this machine's settings become an object that can say what changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from syncd.errors import ConfigError, PermanentError
from syncd.model import Source, SourceRecord, SourceType
from syncd.sources.folder.root import ANYWHERE, Root
from syncd.sources.folder.source import FolderSettings, FolderSource
from syncd.sources.folder.watch import FolderWatcher
from syncd.sources.github.factory import GithubAccess, RepositoryFactory
from syncd.sources.s3.factory import BucketFactory, QueueSettings
from syncd.sources.s3.settings import Transport
from syncd.sources.upload.source import UploadSource
from syncd.sources.web.factory import CrawlLimits, SiteFactory
from syncd.store import Store


@dataclass(frozen=True, slots=True)
class SourceFactorySettings:
    """What sources need beside their own record."""

    state: Path
    github: GithubAccess = field(default_factory=GithubAccess)
    sites: CrawlLimits = field(default_factory=CrawlLimits)
    queues: QueueSettings = field(default_factory=QueueSettings)
    folder_max_file_size_bytes: int = 1 << 20
    folder_roots: tuple[Path, ...] = ()
    """Below one of these lie the folders of sources that were made through the network API."""
    document_suffixes: frozenset[str] = frozenset()


class SourceFactory:
    """Opens sources of every type; also what the triggers watch. An async context manager, for what sources share."""

    def __init__(self, settings: SourceFactorySettings, store: Store) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self.upload_folder = settings.state / "uploads"
        self.spool_folder = settings.state / "spool"
        self.repositories = RepositoryFactory(settings.github, settings.state / "git", self.spool_folder)
        self.sites = SiteFactory(settings.sites, store.database)
        self.buckets = BucketFactory(store, Transport(spool_dir=self.spool_folder), settings.queues)

    async def __aenter__(self) -> Self:
        """Make the folders, and empty the one for temporary files of an earlier life."""
        for folder in (self.upload_folder, self.spool_folder, self._settings.state / "git"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.spool_folder.iterdir():
            left.unlink()
        await self._stack.enter_async_context(self.sites)
        self._stack.push_async_callback(self.buckets.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, record: SourceRecord) -> Source:
        """Return the open source. Raises PermanentError when its settings cannot work on this machine."""
        try:
            match record.type:
                case SourceType.GITHUB:
                    return self.repositories.open(record)
                case SourceType.FOLDER:
                    return self._folder(record)
                case SourceType.UPLOAD:
                    return UploadSource(self.upload_folder)
                case SourceType.WEB:
                    return self.sites.open(record)
                case SourceType.S3:
                    return await self.buckets.open(record)
        except ConfigError as error:
            raise PermanentError(str(error)) from error

    def moves(self, record: SourceRecord, ref: Mapping[str, str] | None, interval_s: float) -> AsyncGenerator[str]:
        """Yield the commits a watched branch is at."""
        return self.repositories.moves(record, ref, interval_s)

    def changes(self, record: SourceRecord) -> AsyncGenerator[frozenset[str] | None]:
        """Yield what changes in a watched folder."""
        return FolderWatcher(self._folder(record).tree).hints()

    def check(self, kind: SourceType, settings: Mapping[str, Any]) -> None:
        """Check a new source's settings beyond their shape. Raises PermanentError naming what is wrong."""
        if kind is SourceType.WEB:
            self.sites.check(settings)
        elif kind is SourceType.S3:
            self.buckets.check(settings)
        elif kind is SourceType.FOLDER:
            Root(Path(settings["path"]), state=self._settings.state).check()

    def _folder(self, record: SourceRecord) -> FolderSource:
        given: Mapping[str, Any] = record.settings
        settings = FolderSettings(
            name=record.name or record.id,
            path=Path(given.get("real_path") or given["path"]),
            include_globs=tuple(given.get("include_globs") or ("*",)),
            exclude_globs=tuple(given.get("exclude_globs") or ()),
            max_file_size_bytes=self._settings.folder_max_file_size_bytes,
            document_suffixes=self._settings.document_suffixes,
            declared_path=Path(given["path"]) if given.get("real_path") else None,
            allowed_roots=self._settings.folder_roots if given.get("needs_allowed_root") else ANYWHERE,
            state=self._settings.state,
        )
        return FolderSource(settings, self.spool_folder)
