"""Opens GitHub sources: one object per source, because it owns the bare repository in its folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from syncd.errors import ConfigError, PermanentError
from syncd.model import GitRef, Request, SourceRecord, Target, WholeSource
from syncd.model.watching import Report, unreported
from syncd.sources.factory import SourceFactory
from syncd.sources.git.naming import check_branch
from syncd.sources.git.patience import Patience
from syncd.sources.git.refs import Ref
from syncd.sources.git.remote import Remote
from syncd.sources.git.settings import GitSection
from syncd.sources.git.source import RepositorySettings, RepositorySource, commit_of
from syncd.sources.git.watch import BranchWatcher
from syncd.sources.github.app import AppLogins, GithubApp
from syncd.sources.github.naming import REPOSITORY, check_repository
from syncd.sources.github.settings import GithubSection, GithubSourceSettings
from syncd.sources.globs import EVERYTHING
from syncd.store import Store

DEFAULT_INTERVAL_S = 300.0


@dataclass(frozen=True, slots=True)
class OpenRepository:
    """An open source and the settings it was opened with; if a record's settings differ, it is opened again."""

    settings: RepositorySettings
    app_id: str | None
    source: RepositorySource


class RepositoryFactory(SourceFactory[GithubSourceSettings]):
    """The open GitHub sources."""

    def __init__(self, section: GithubSection, git: GitSection, folder: Path, spool_folder: Path, store: Store) -> None:
        self._section = section
        self._patience = Patience(git.stall_timeout_s, git.fetch_timeout_s)
        self._store = store
        self._folder = folder
        self._spool_folder = spool_folder
        self._key_files = {app.app_id: app.private_key_file for app in section.apps}
        self._apps: dict[str, GithubApp] = {}
        self._open: dict[str, OpenRepository] = {}

    async def __aenter__(self) -> Self:
        """Create the folder of the repositories."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    async def open(self, record: SourceRecord[GithubSourceSettings]) -> RepositorySource:
        """Return the source of a record. Raises PermanentError, or ConfigError if its App cannot be used here."""
        return self._opened(record)

    def accept(self, settings: GithubSourceSettings, trusted: bool) -> GithubSourceSettings:
        """Check the repository's name and the watched branch's. Raises PermanentError."""
        check_repository(settings.repository)
        if settings.watch and settings.watch.branch is not None:
            check_branch(settings.watch.branch)
        return settings

    async def watch(
        self, record: SourceRecord[GithubSourceSettings], report: Report = unreported
    ) -> AsyncGenerator[Request]:
        """Yield a request for the watched branch at once, and whenever the collection does not hold its commit although no
        run is under way; failed checks are reported and retried.

        Raises PermanentError or ConfigError if the source cannot be opened.
        """
        watch = record.settings.watch
        branch = watch and watch.branch
        interval_s = (watch and watch.interval_s) or DEFAULT_INTERVAL_S
        moves = BranchWatcher(
            self._opened(record), Ref.read({"branch": branch} if branch else None), interval_s, report
        ).moves(partial(self._is_behind, record))
        async with aclosing(moves):
            async for _ in moves:
                yield WholeSource(ref=GitRef(branch=branch) if branch else None)

    async def _is_behind(self, record: SourceRecord[GithubSourceSettings], commit: str) -> bool:
        target = Target(record.database, record.settings.default_collection or "")
        if not await self._store.invocations.is_idle(record.id, target):
            return False
        return commit_of(await self._store.progress.reached(record.id, target)) != commit

    def _opened(self, record: SourceRecord[GithubSourceSettings]) -> RepositorySource:
        given = record.settings
        remote = github_remote(given.repository, self._section.base_url)
        settings = RepositorySettings(
            remote, given.include_globs or EVERYTHING, self._section.max_file_size_bytes, self._patience
        )
        now = self._open.get(record.id)
        if now is None or (now.settings, now.app_id) != (settings, given.app_id):
            app = self._app(given.app_id) if given.app_id else None
            credentials = AppLogins(app, given.repository) if app else None
            source = RepositorySource(settings, self._folder / record.id, credentials, self._spool_folder)
            now = self._open[record.id] = OpenRepository(settings, given.app_id, source)
        return now.source

    def _app(self, app_id: str) -> GithubApp:
        if app_id not in self._apps:
            key_file = self._key_files.get(app_id)
            if key_file is None:
                raise PermanentError(
                    f"GitHub App {app_id} is not configured here; add [[github.apps]] with its app_id and private_key_file"
                )
            self._apps[app_id] = GithubApp(app_id, key_file, self._section.api_url)
        return self._apps[app_id]


def github_remote(repository: str, base_url: str = "https://github.com") -> Remote:
    """Return where a repository of GitHub is. Raises ConfigError for a name that is not `owner/name`, or an impossible base."""
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"repository {repository[:120]!r} is not owner/name, e.g. 'chroma-core/chroma'")
    return Remote(f"{base_url.rstrip('/')}/{repository.removesuffix('.git')}.git", repository)
