"""What a source type does on a running machine: the base of every type's factory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from syncd.errors import PermanentError
from syncd.model import Invocation, Request, Source, SourceRecord, SourceSettings
from syncd.runtime.actor import Actor
from syncd.runtime.state import SPOOL_FOLDER
from syncd.schema import Model, Table

if TYPE_CHECKING:
    # The store takes a while to import, and the command line reads this module to know the types.
    from syncd.store import Store

S = TypeVar("S", bound=SourceSettings)
T = TypeVar("T", bound=Table)


def _nobody() -> None:
    """Stand in for whoever takes up invocations."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a factory may know of the machine it opens sources on."""

    state: Path
    """The state folder; a type keeps its files in a folder of its own below it."""
    store: Store
    sections: Mapping[type[Table], Table] = field(default_factory=dict[type[Table], Table])
    """The configuration's tables about types of sources."""
    document_suffixes: frozenset[str] = frozenset()
    """Lower case, with the dot: files that a parser takes whole, whatever their bytes."""
    wake: Callable[[], None] = _nobody
    """Tells whoever takes up invocations that there are new ones."""

    @property
    def spool_folder(self) -> Path:
        """Where large bodies lie while somebody reads them; emptied at every start."""
        return self.state / SPOOL_FOLDER

    def section(self, model: type[T]) -> T:
        """Return the configuration's table of this shape, or one with every default."""
        found = self.sections.get(model)
        return found if isinstance(found, model) else model()


class SourceFactory(ABC, Generic[S]):
    """Opens the sources of one type. Built once per daemon; an async context manager for what its sources share."""

    async def __aenter__(self) -> Self:
        """Make ready. Called once, before anything else."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of what the sources share."""

    @abstractmethod
    async def open(self, record: SourceRecord[S]) -> Source:
        """Return the open source. Raises PermanentError or ConfigError when its settings cannot work on this machine."""

    def accept(self, settings: S, trusted: bool) -> S:
        """Return the settings to store of a source that is made through the API.

        `trusted`: by this machine's own user, who may name whatever the daemon can reach. Asks nobody, never waits.
        Raises PermanentError or ConfigError naming what is wrong.
        """
        del trusted
        return settings

    async def keep_secrets(self, database: str, given: Model, settings: S) -> S:
        """Put the secrets of a request into the store's safe, and return settings that refer to them.

        Raises NotFoundError for a secret that is said to be there and is not.
        """
        del database, given
        return settings

    def watch(self, record: SourceRecord[S]) -> AsyncGenerator[Request]:
        """Yield the request of a run at once, and another whenever something changed; never ends by itself.

        Raises RetryableError or PermanentError; the caller watches again after a while.
        """
        raise PermanentError(f"{record.type} sources cannot be watched; give {record.name or record.id} a schedule")

    async def settled(self, invocation: Invocation) -> None:
        """Hear of an invocation, of whatever type, that is over for now. Twice is safe."""

    def sources_changed(self) -> None:
        """Hear that sources were made, changed or removed. Never waits, twice is safe."""

    def actors(self) -> Sequence[Actor]:
        """Return what has to run beside the sources."""
        return ()

    def problems(self) -> Mapping[str, str]:
        """Return the sources whose changes do not come as they should: by id, the reason."""
        return {}

    def status(self) -> Mapping[str, Any]:
        """Return what belongs into the daemon's status, as JSON values by subject."""
        return {}
