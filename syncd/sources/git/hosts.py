"""Opens git sources: repositories of any host, with tokens or SSH keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from syncd.errors import MisconfiguredError, NotFoundError, PermanentError
from syncd.model import SourceRecord
from syncd.schema import Model
from syncd.sources.factory import Machine, Requester
from syncd.sources.git.factory import RepositoryFactory
from syncd.sources.git.logins import GIT_CREDENTIAL, FileLogins, StoredLogins
from syncd.sources.git.remote import Logins, Remote, SshAccess
from syncd.sources.git.settings import DEFAULT_USER, GitSource, GitSourceSettings
from syncd.sources.git.source import RepositorySettings
from syncd.sources.git.urls import check_web_url, scheme_of
from syncd.sources.globs import EVERYTHING


class GitFactory(RepositoryFactory[GitSourceSettings]):
    """The open git sources."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._credentials = machine.store.credentials

    @override
    def accept(self, settings: GitSourceSettings, requester: Requester) -> GitSourceSettings:
        """Check the URL, too: through the API it must be one of HTTP, whoever the caller is. Raises PermanentError."""
        check_web_url(settings.url)
        return super().accept(settings, requester)

    @override
    async def examine(self, record: SourceRecord[GitSourceSettings]) -> None:
        """Open the repository and read its token: the configuration's owner may name what the API may not."""
        super().accept(record.settings, Requester.configuration(record.database))
        await self.open(record)
        if logins := self.logins(record):
            await logins.login()

    @override
    async def keep_secrets(self, given: Model, settings: GitSourceSettings, requester: Requester) -> GitSourceSettings:
        """Store an inline token for the URL's own origin, or check that the named one belongs to this database.

        Raises NotFoundError, PermanentError.
        """
        database = requester.database
        if isinstance(given, GitSource) and given.token:
            remote = Remote(settings.url, settings.url)
            if not remote.may_carry_secret:
                raise PermanentError(f"{settings.url!r} would send the token unencrypted; use https")
            secret = {"token": given.token, "origin": remote.origin}
            return replace(settings, credential_id=await self._credentials.add(database, GIT_CREDENTIAL, secret))
        number = settings.credential_id
        if number is not None and requester.is_unlimited:
            number = await self._credentials.shared(number, GIT_CREDENTIAL, database)
        if number is None and settings.credential_id is None:
            return settings
        if number is None or not await self._credentials.exists(number, database):
            raise NotFoundError(
                f"credential_id {settings.credential_id} does not exist in this database; give the token"
            )
        return replace(settings, credential_id=number)

    def reading(self, record: SourceRecord[GitSourceSettings]) -> RepositorySettings:
        """Return what is read of a record's repository. Raises ConfigError, PermanentError."""
        given, section = record.settings, self.section
        is_declared = record.is_declared
        if not is_declared:
            check_web_url(given.url)
        remote = Remote(given.url, given.url, self._ssh(given), None if is_declared else self.guard)
        return RepositorySettings(
            remote,
            given.include_globs or EVERYTHING,
            section.max_file_size_bytes,
            patience=self.patience,
            lfs_guard=self.guard if given.lfs else None,
        )

    def logins(self, record: SourceRecord[GitSourceSettings]) -> Logins | None:
        """Return the logins with the record's token, if it has one."""
        given, user = record.settings, record.settings.username or DEFAULT_USER
        if given.token_file:
            return FileLogins(user, Path(given.token_file))
        if given.credential_id is not None:
            origin = Remote(given.url, given.url).origin
            return StoredLogins(self._credentials, record.database, given.credential_id, user, origin)
        return None

    def _ssh(self, given: GitSourceSettings) -> SshAccess | None:
        if scheme_of(given.url) != "ssh":
            return None
        known_hosts = self.section.known_hosts_file
        if not given.ssh_key_file or not known_hosts:
            raise MisconfiguredError("a repository that is read over SSH needs ssh_key_file and git.known_hosts_file")
        key = Path(given.ssh_key_file)
        for name, file in (("ssh_key_file", key), ("git.known_hosts_file", known_hosts)):
            if not file.is_file():
                raise PermanentError(f"{name} {str(file)!r} is not there, or may not be read")
        return SshAccess(key, known_hosts)
