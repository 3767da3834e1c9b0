"""Opens GitHub sources: git repositories whose tokens come from Apps."""

from __future__ import annotations

from typing_extensions import override

from syncd.errors import ConfigError, PermanentError
from syncd.model import SourceRecord
from syncd.sources.factory import Machine
from syncd.sources.git.factory import RepositoryFactory
from syncd.sources.git.remote import Remote
from syncd.sources.git.source import RepositorySettings
from syncd.sources.github.app import AppLogins, GithubApp
from syncd.sources.github.naming import REPOSITORY, check_repository
from syncd.sources.github.settings import GithubSection, GithubSourceSettings
from syncd.sources.globs import EVERYTHING


class GithubFactory(RepositoryFactory[GithubSourceSettings]):
    """The open GitHub sources."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._github = machine.section(GithubSection)
        self._key_files = {app.app_id: app.private_key_file for app in self._github.apps}
        self._apps: dict[str, GithubApp] = {}

    @override
    def accept(self, settings: GithubSourceSettings, trusted: bool) -> GithubSourceSettings:
        """Check the repository's name, too. Raises PermanentError."""
        check_repository(settings.repository)
        return super().accept(settings, trusted)

    def reading(self, record: SourceRecord[GithubSourceSettings]) -> RepositorySettings:
        """Return what is read of a record's repository. Raises ConfigError for an impossible name or address."""
        given, section = record.settings, self._github
        remote = github_remote(given.repository, section.base_url)
        return RepositorySettings(
            remote, given.include_globs or EVERYTHING, section.max_file_size_bytes, patience=self.patience
        )

    def logins(self, record: SourceRecord[GithubSourceSettings]) -> AppLogins | None:
        """Return the logins of the App. Raises PermanentError, or ConfigError if it cannot be used here."""
        given = record.settings
        return AppLogins(self._app(given.app_id), given.repository) if given.app_id else None

    def _app(self, app_id: str) -> GithubApp:
        if app_id not in self._apps:
            key_file = self._key_files.get(app_id)
            if key_file is None:
                raise PermanentError(
                    f"GitHub App {app_id} is not configured here; add [[github.apps]] with its app_id and private_key_file"
                )
            self._apps[app_id] = GithubApp(app_id, key_file, self._github.api_url)
        return self._apps[app_id]


def github_remote(repository: str, base_url: str = "https://github.com") -> Remote:
    """Return where a repository of GitHub is. Raises ConfigError for a name that is not `owner/name`, or an impossible base."""
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"repository {repository[:120]!r} is not owner/name, e.g. 'chroma-core/chroma'")
    remote = Remote(f"{base_url.rstrip('/')}/{repository.removesuffix('.git')}.git", repository)
    if remote.scheme not in ("https", "http"):
        raise ConfigError(f"github.base_url {base_url!r} is not like 'https://github.com'")
    return remote
