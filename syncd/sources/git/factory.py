"""Opens sources that are git repositories: one object per source, because it owns the bare repository in its folder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Self, TypeVar

from syncd.model import GitRef, Request, SourceRecord, SourceSettings, Target, WholeSource
from syncd.model.watching import Report, unreported
from syncd.runtime.state import REPOSITORIES_FOLDER
from syncd.sources.factory import Machine, Requester, SourceFactory
from syncd.sources.git.cursor import commit_of
from syncd.sources.git.naming import check_branch
from syncd.sources.git.patience import Patience
from syncd.sources.git.refs import Ref
from syncd.sources.git.remote import Logins
from syncd.sources.git.settings import GitSection
from syncd.sources.git.source import RepositorySettings, RepositorySource
from syncd.sources.git.watch import BranchWatcher
from syncd.sources.web.addresses import AddressGuard

DEFAULT_INTERVAL_S = 300.0

G = TypeVar("G", bound=SourceSettings)


@dataclass(frozen=True, slots=True)
class OpenRepository(Generic[G]):
    """An open source and the settings it was opened with; if a record's settings differ, it is opened again."""

    settings: G
    source: RepositorySource


class RepositoryFactory(SourceFactory[G]):
    """The open repositories of one type. The type says what is read of them, and with which credentials."""

    def __init__(self, machine: Machine) -> None:
        self.section = machine.section(GitSection)
        self.guard = AddressGuard(self.section.allow_private_addresses)
        """Which addresses may be dialled where a stranger says what is read."""
        self.patience = Patience(self.section.stall_timeout_s, self.section.fetch_timeout_s)
        self._store = machine.store
        self._folder = machine.state / REPOSITORIES_FOLDER
        self._spool_folder = machine.spool_folder
        self._open: dict[str, OpenRepository[G]] = {}

    async def __aenter__(self) -> Self:
        """Create the folder of the repositories."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    @abstractmethod
    def reading(self, record: SourceRecord[G]) -> RepositorySettings:
        """Return what is read of a record's repository. Raises PermanentError, ConfigError."""

    @abstractmethod
    def logins(self, record: SourceRecord[G]) -> Logins | None:
        """Return with what it is read; None: without. Raises PermanentError, ConfigError."""

    async def open(self, record: SourceRecord[G]) -> RepositorySource:
        """Return the source of a record. Raises PermanentError, or ConfigError if its credentials cannot be used here."""
        return self._opened(record)

    def accept(self, settings: G, requester: Requester) -> G:
        """Check the watched branch's name. Raises PermanentError."""
        if settings.watch and settings.watch.branch is not None:
            check_branch(settings.watch.branch)
        return settings

    async def watch(self, record: SourceRecord[G], report: Report = unreported) -> AsyncGenerator[Request]:
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

    def repository(self, record: SourceRecord[G]) -> str:
        """Return the URL that it is read from. Raises PermanentError, ConfigError."""
        return self.reading(record).remote.url

    async def _is_behind(self, record: SourceRecord[G], commit: str) -> bool:
        target = Target(record.database, record.settings.default_collection or "")
        if not await self._store.invocations.is_idle(record.id, target):
            return False
        return commit_of(await self._store.progress.reached(record.id, target)) != commit

    def _opened(self, record: SourceRecord[G]) -> RepositorySource:
        now = self._open.get(record.id)
        # What only says when and where to is another run's, and no reason to open it anew.
        given = replace(
            record.settings,
            watch=None,
            schedule=None,
            collection_name=None,
            converter=None,
            max_lag_s=None,
            secrets=None,
        )
        if now is None or now.settings != given:
            reading, folder = self.reading(record), self._folder / record.id
            source = RepositorySource(reading, folder, self.logins(record), self._spool_folder)
            now = self._open[record.id] = OpenRepository(given, source)
        return now.source
