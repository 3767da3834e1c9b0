"""Opens sources: a stored record and this machine's settings become an object that can say what changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from syncd.errors import ConfigError, PermanentError, SyncdError
from syncd.model import Source, SourceRecord, SourceType
from syncd.sources.folder import FolderSettings, FolderSource
from syncd.sources.folder_watch import FolderWatcher
from syncd.sources.github.app import GithubApp
from syncd.sources.github.repository import Ref
from syncd.sources.github.source import GithubSettings, GithubSource
from syncd.sources.github.watch import GithubWatcher
from syncd.sources.upload import UploadSource

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OpeningSettings:
    """What sources need beside their own record."""

    state: Path
    github_base_url: str = "https://github.com"
    github_api_url: str = "https://api.github.com"
    github_apps: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """App id to private key file."""
    github_max_file_size_bytes: int = 1 << 20
    folder_max_file_size_bytes: int = 1 << 20
    document_suffixes: frozenset[str] = frozenset()


class Opening:
    """Opens sources of every type; also what the triggers watch. One object per source, for as long as it stays the same."""

    def __init__(self, settings: OpeningSettings) -> None:
        self._settings = settings
        self._apps: dict[str, GithubApp] = {}
        self._github: dict[str, tuple[GithubSettings, GithubSource]] = {}
        self.upload_folder = settings.state / "uploads"
        self.spool_folder = settings.state / "spool"

    def prepare(self) -> None:
        """Make the folders, and empty the one for temporary files of an earlier life."""
        for folder in (self.upload_folder, self.spool_folder, self._settings.state / "git"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.spool_folder.iterdir():
            left.unlink()

    async def open(self, record: SourceRecord) -> Source:
        """Return the open source. Raises PermanentError when its settings cannot work on this machine."""
        try:
            return self._open(record)
        except ConfigError as error:
            raise PermanentError(str(error)) from error

    def _open(self, record: SourceRecord) -> Source:
        match record.type:
            case SourceType.GITHUB:
                return self._open_github(record)
            case SourceType.FOLDER:
                return self._open_folder(record)
            case SourceType.UPLOAD:
                return UploadSource(self.upload_folder)
            case _:
                raise PermanentError(f"sources of type {record.type} are not available yet")

    def moves(self, record: SourceRecord, ref: Mapping[str, str] | None, interval_s: float) -> AsyncGenerator[str]:
        """Yield the commits a watched branch is at."""

        def failed(error: SyncdError) -> None:
            log.warning("watch.failed", source=record.name or record.id, reason=str(error))

        return GithubWatcher(self._open_github(record), Ref.read(ref), interval_s, failed).moves()

    def changes(self, record: SourceRecord) -> AsyncGenerator[frozenset[str] | None]:
        """Yield what changes in a watched folder."""
        return FolderWatcher(self._open_folder(record).tree).hints()

    def _open_github(self, record: SourceRecord) -> GithubSource:
        given = record.settings
        settings = GithubSettings(
            given["repository"],
            tuple(given.get("include_globs") or ("*",)),
            self._settings.github_max_file_size_bytes,
            self._settings.github_base_url,
        )
        kept = self._github.get(record.id)
        if kept is None or kept[0] != settings:
            app = self._app(given["app_id"]) if given.get("app_id") else None
            source = GithubSource(settings, self._settings.state / "git" / record.id, app, self.spool_folder)
            kept = self._github[record.id] = (settings, source)
        return kept[1]

    def _app(self, app_id: str) -> GithubApp:
        if app_id not in self._apps:
            key_file = self._settings.github_apps.get(app_id)
            if key_file is None:
                raise PermanentError(
                    f"GitHub App {app_id} is not configured here; add [[github.apps]] with its app_id and private_key_file"
                )
            self._apps[app_id] = GithubApp(app_id, key_file, self._settings.github_api_url)
        return self._apps[app_id]

    def _open_folder(self, record: SourceRecord) -> FolderSource:
        given: Mapping[str, Any] = record.settings
        settings = FolderSettings(
            name=record.name or record.id,
            path=Path(given["path"]),
            include_globs=tuple(given.get("include_globs") or ("*",)),
            exclude_globs=tuple(given.get("exclude_globs") or ()),
            max_file_size_bytes=self._settings.folder_max_file_size_bytes,
            document_suffixes=self._settings.document_suffixes,
        )
        return FolderSource(settings, self.spool_folder)
