"""Opens GitHub sources: one object per source, because it owns the bare repository in its folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from syncd.errors import PermanentError, SyncdError
from syncd.model import SourceRecord
from syncd.sources.github.app import GithubApp
from syncd.sources.github.repository import Ref
from syncd.sources.github.source import GithubSettings, GithubSource
from syncd.sources.github.watch import GithubWatcher

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GithubAccess:
    """Which GitHub, with which Apps (app id to private key file), and how large files may be."""

    base_url: str = "https://github.com"
    api_url: str = "https://api.github.com"
    apps: Mapping[str, Path] = field(default_factory=dict[str, Path])
    max_file_size_bytes: int = 1 << 20


class RepositoryFactory:
    """The open GitHub sources."""

    def __init__(self, access: GithubAccess, folder: Path, spool_folder: Path) -> None:
        self._access = access
        self._folder = folder
        self._spool_folder = spool_folder
        self._apps: dict[str, GithubApp] = {}
        self._open: dict[str, tuple[tuple[GithubSettings, str | None], GithubSource]] = {}

    def open(self, record: SourceRecord) -> GithubSource:
        """Return the source of a record. Raises PermanentError, ConfigError when its App is not usable here."""
        given = record.settings
        globs = tuple(given.get("include_globs") or ("*",))
        settings = GithubSettings(given["repository"], globs, self._access.max_file_size_bytes, self._access.base_url)
        app_id = given.get("app_id")
        kept = self._open.get(record.id)
        if kept is None or kept[0] != (settings, app_id):
            app = self._app(app_id) if app_id else None
            source = GithubSource(settings, self._folder / record.id, app, self._spool_folder)
            kept = self._open[record.id] = (settings, app_id), source
        return kept[1]

    def moves(self, record: SourceRecord, ref: Mapping[str, str] | None, interval_s: float) -> AsyncGenerator[str]:
        """Yield the commit a branch is at now and whenever it has moved; failed looks are logged and tried again."""

        def failed(error: SyncdError) -> None:
            log.warning("watch.failed", source=record.name or record.id, reason=str(error))

        return GithubWatcher(self.open(record), Ref.read(ref), interval_s, failed).moves()

    def _app(self, app_id: str) -> GithubApp:
        if app_id not in self._apps:
            key_file = self._access.apps.get(app_id)
            if key_file is None:
                raise PermanentError(
                    f"GitHub App {app_id} is not configured here; add [[github.apps]] with its app_id and private_key_file"
                )
            self._apps[app_id] = GithubApp(app_id, key_file, self._access.api_url)
        return self._apps[app_id]
