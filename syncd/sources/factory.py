"""What a source type does on a running machine: the base of every type's factory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from syncd.errors import PermanentError
from syncd.json_types import JsonObject
from syncd.model import Invocation, Request, Source, SourceRecord, SourceSettings
from syncd.model.watching import Report, unreported
from syncd.runtime.actor import Actor
from syncd.runtime.state import SPOOL_FOLDER
from syncd.schema import Model, Table

if TYPE_CHECKING:
    # The store is slow to import, and the command line imports this module to know the types.
    from syncd.store import Store

S = TypeVar("S", bound=SourceSettings)
T = TypeVar("T", bound=Table)


def _nobody() -> None:
    """Stand in for whoever takes up invocations."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a factory may know about the machine it runs on."""

    state: Path
    """The state folder; each type keeps its files in its own folder below it."""
    store: Store
    sections: Mapping[type[Table], Table] = field(default_factory=dict[type[Table], Table])
    """The configuration's tables about types of sources."""
    document_suffixes: frozenset[str] = frozenset()
    """Suffixes, in lower case and with the dot, of files that a parser reads whatever their bytes."""
    wake: Callable[[], None] = _nobody
    """Notifies the Syncer of new invocations."""

    @property
    def spool_folder(self) -> Path:
        """The folder of large bodies that are being read; emptied at every start."""
        return self.state / SPOOL_FOLDER

    def section(self, model: type[T]) -> T:
        """Return the configuration's table of this model; with all defaults if the file has none."""
        found = self.sections.get(model)
        return found if isinstance(found, model) else model()


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks for a source through the API, and for which database."""

    database: str
    is_trusted: bool = False
    """It is this machine's own user, who may name anything the daemon can reach."""
    is_unlimited: bool = False
    """It may access every database."""

    @classmethod
    def configuration(cls, database: str) -> Self:
        """Return who declares sources in the configuration file."""
        return cls(database, is_trusted=True, is_unlimited=True)


class SourceFactory(ABC, Generic[S]):
    """Opens the sources of one type. Built once per daemon; an async context manager for what its sources share."""

    async def __aenter__(self) -> Self:
        """Prepare what the sources share. Called once, before anything else."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Release what the sources share."""

    @abstractmethod
    async def open(self, record: SourceRecord[S]) -> Source:
        """Return the open source. Raises PermanentError or ConfigError if its settings cannot work on this machine."""

    def accept(self, settings: S, requester: Requester) -> S:
        """Return the settings to store for a source that is created through the API. Never waits.

        Raises PermanentError or ConfigError naming what is wrong, or what the requester may not name.
        """
        del requester
        return settings

    async def examine(self, record: SourceRecord[S]) -> None:
        """Do every check of a declared source that can be done without fetching anything. Raises PermanentError or ConfigError."""
        self.accept(record.settings, Requester.configuration(record.database))
        await self.open(record)

    async def keep_secrets(self, given: Model, settings: S, requester: Requester) -> S:
        """Put the secrets of a request into the store's safe, and return settings that refer to them.

        An unlimited requester may use those of every database. Raises NotFoundError for a reference to a secret that does not exist.
        """
        del given, requester
        return settings

    def watch(self, record: SourceRecord[S], report: Report = unreported) -> AsyncGenerator[Request]:
        """Yield a run's request at once, and another whenever something has changed; never ends by itself.

        Looks that fail and do not end the watch are told to `report`, and the next one that does not. Raises RetryableError or PermanentError; the caller watches again after a while.
        """
        raise PermanentError(f"{record.type} sources cannot be watched; give {record.name or record.id} a schedule")

    def repository(self, record: SourceRecord[S]) -> str:
        """Return the URL of the repository that a source reads, '' where it reads none. Raises PermanentError, ConfigError."""
        del record
        return ""

    async def keeps(self, record: SourceRecord[S], collection: str) -> bool:
        """Return whether a source keeps a collection in step by itself. Waits for SQLite at most."""
        return record.keeps(collection)

    async def settled(self, invocation: Invocation) -> None:
        """Called with each invocation, of any type, that is over or postponed. Twice is safe."""

    def sources_changed(self) -> None:
        """Called when sources were created, changed or removed. Never waits, twice is safe."""

    def actors(self) -> Sequence[Actor]:
        """Return the actors that this type needs."""
        return ()

    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why changes of a source are not received."""
        return {}

    def queues(self) -> Sequence[JsonObject]:
        """Return how each queue that events of this type's sources arrive in is doing, as JSON values."""
        return ()
