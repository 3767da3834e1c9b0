"""Opens GitHub sources: git repositories whose tokens come from Apps."""

from __future__ import annotations

from typing_extensions import override

from syncd.errors import ConfigError, PermanentError
from syncd.model import SourceRecord
from syncd.sources.factory import Machine, Requester
from syncd.sources.git.factory import RepositoryFactory
from syncd.sources.git.remote import Remote
from syncd.sources.git.source import RepositorySettings
from syncd.sources.github.app import AppLogins, GithubApp
from syncd.sources.github.naming import REPOSITORY, check_repository
from syncd.sources.github.settings import GithubAppSection, GithubSection, GithubSourceSettings
from syncd.sources.globs import EVERYTHING


class GithubFactory(RepositoryFactory[GithubSourceSettings]):
    """The open GitHub sources."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._github = machine.section(GithubSection)
        self._sections = {app.app_id: app for app in self._github.apps}
        self._apps: dict[str, GithubApp] = {}

    @override
    def accept(self, settings: GithubSourceSettings, requester: Requester) -> GithubSourceSettings:
        """Check the repository's name, too, and that it may be read with the App. Raises PermanentError."""
        check_repository(settings.repository)
        # One that is configured later will be taken to have been allowed, so only who may use any names an App that is not.
        may_use_any = requester.is_unlimited or requester.is_trusted
        if settings.app_id and (settings.app_id in self._sections or not may_use_any):
            self._section(settings.app_id).check(settings.repository, requester)
        return super().accept(settings, requester)

    def reading(self, record: SourceRecord[GithubSourceSettings]) -> RepositorySettings:
        """Return what is read of a record's repository. Raises ConfigError for an impossible name or address."""
        given, section = record.settings, self._github
        remote = github_remote(given.repository, section.base_url)
        return RepositorySettings(
            remote,
            given.include_globs or EVERYTHING,
            section.max_file_size_bytes,
            patience=self.patience,
            lfs_guard=self.guard if given.lfs else None,
        )

    def logins(self, record: SourceRecord[GithubSourceSettings]) -> AppLogins | None:
        """Return the logins of the App. Raises PermanentError, or ConfigError if it cannot be used here."""
        given = record.settings
        if not given.app_id:
            return None
        app = self._section(given.app_id)
        # Who made it is not known any more; a database that the App does not name has been told to an unlimited token.
        app.check(given.repository, Requester(record.database, is_trusted=record.is_declared, is_unlimited=True))
        return AppLogins(self._app(app), given.repository)

    def _section(self, app_id: str) -> GithubAppSection:
        if app_id not in self._sections:
            raise PermanentError(
                f"GitHub App {app_id} is not configured here; add [[github.apps]] with its app_id and private_key_file"
            )
        return self._sections[app_id]

    def _app(self, section: GithubAppSection) -> GithubApp:
        if section.app_id not in self._apps:
            self._apps[section.app_id] = GithubApp(section.app_id, section.private_key_file, self._github.api_url)
        return self._apps[section.app_id]


def github_remote(repository: str, base_url: str = "https://github.com") -> Remote:
    """Return where a repository of GitHub is. Raises ConfigError for a name that is not `owner/name`, or an impossible base."""
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"repository {repository[:120]!r} is not owner/name, e.g. 'chroma-core/chroma'")
    remote = Remote(f"{base_url.rstrip('/')}/{repository.removesuffix('.git')}.git", repository)
    if remote.scheme not in ("https", "http"):
        raise ConfigError(f"github.base_url {base_url!r} is not like 'https://github.com'")
    return remote
