"""The source types of a running daemon: one factory each, built once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Self

from syncd.errors import ConfigError, PermanentError
from syncd.json_types import JsonObject
from syncd.model import Invocation, Request, Source, SourceRecord, SourceSettings, UnreadableSettings
from syncd.model.watching import Report, unreported
from syncd.runtime.actor import Actor
from syncd.schema import Model
from syncd.sources.factory import Machine, Requester, SourceFactory
from syncd.sources.type import SourceTypes

Settled = Callable[[Invocation], Awaitable[None]]
"""Called after each attempt at an invocation, over or postponed; the store says which. Twice is safe; should not wait."""


class SourceFactories:
    """Opens sources of every type and forwards notifications to the types' factories. An async context manager."""

    def __init__(self, types: SourceTypes, machine: Machine) -> None:
        self.types = types
        self._machine = machine
        self._stack = AsyncExitStack()
        self._factories: dict[str, SourceFactory[Any]] = {known.name: known.factory(machine) for known in types}

    async def __aenter__(self) -> Self:
        """Create the folders in the state folder, empty the spool left by an earlier process, and enter every factory."""
        self._machine.spool_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._machine.spool_folder.iterdir():
            left.unlink()
        for factory in self._factories.values():
            await self._stack.enter_async_context(factory)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, record: SourceRecord) -> Source:
        """Return the open source. Raises PermanentError if its settings cannot work on this machine."""
        _check_readable(record)
        try:
            return await self._factory(record.type).open(record)
        except ConfigError as error:
            raise PermanentError(str(error)) from error

    async def examine(self, record: SourceRecord) -> None:
        """Do every check of a declared source that can be done without fetching anything.

        Raises PermanentError or ConfigError naming what is wrong.
        """
        _check_readable(record)
        await self._factory(record.type).examine(record)

    def accept(self, name: str, given: Model, requester: Requester) -> SourceSettings:
        """Return the settings, without secrets, of a source of type `name` that is created through the API.

        Raises PermanentError or ConfigError naming what is wrong.
        """
        settings = self.types[name].codec.read(given.model_dump(exclude_none=True))
        return self._factory(name).accept(settings, requester)

    async def keep_secrets(
        self, name: str, given: Model, settings: SourceSettings, requester: Requester
    ) -> SourceSettings:
        """Store the secrets of a request and return settings that refer to them. Raises NotFoundError."""
        return await self._factory(name).keep_secrets(given, settings, requester)

    async def watch(self, record: SourceRecord, report: Report = unreported) -> AsyncGenerator[Request]:
        """Yield a run's request at once, and another whenever the source has changed; never ends by itself.

        `report` is told of looks at the source.

        Raises RetryableError or PermanentError; watching again after a while may help.
        """
        _check_readable(record)
        try:
            async with aclosing(self._factory(record.type).watch(record, report)) as requests:
                async for request in requests:
                    yield request
        except ConfigError as error:
            raise PermanentError(str(error)) from error

    def repository(self, record: SourceRecord) -> str:
        """Return the URL of the repository that a source reads, '' where it reads none, or none that can be read."""
        try:
            _check_readable(record)
            return self._factory(record.type).repository(record)
        except (PermanentError, ConfigError):
            return ""

    async def keeps(self, record: SourceRecord, collection: str) -> bool:
        """Return whether a source keeps a collection in step by itself, its own or one that labels name. Waits for SQLite at most."""
        return await self._factory(record.type).keeps(record, collection)

    @property
    def settled(self) -> Sequence[Settled]:
        """Callbacks for invocations that are over or postponed: one for each type, so that none holds up another."""
        return [factory.settled for factory in self._factories.values()]

    def sources_changed(self) -> None:
        """Notify every factory that sources were created, changed or removed. Never waits, twice is safe."""
        for factory in self._factories.values():
            factory.sources_changed()

    def actors(self) -> Sequence[Actor]:
        """Return the actors that the types' factories need."""
        return [actor for factory in self._factories.values() for actor in factory.actors()]

    def problems(self) -> Mapping[str, str]:
        """Return, by source id, why changes of a source are not received."""
        return {
            source_id: reason
            for factory in self._factories.values()
            for source_id, reason in factory.problems().items()
        }

    def queues(self) -> Sequence[JsonObject]:
        """Return how each queue that events arrive in is doing."""
        return [queue for factory in self._factories.values() for queue in factory.queues()]

    def _factory(self, name: str) -> SourceFactory[Any]:
        return self._factories[self.types[name].name]


def _check_readable(record: SourceRecord) -> None:
    if isinstance(record.settings, UnreadableSettings):
        raise PermanentError(record.settings.reason)
