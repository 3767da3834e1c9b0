"""What a source type is: everything about it that its name, its settings and a daemon's machine do not change.

A type is a folder with a module that makes one `SourceType`, and a line in the registry. Whoever meets sources of any
type (store, API, configuration, command line, triggers) asks here and knows none by name. Importing a type is cheap: what
opens its sources is imported when the daemon builds its factory.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from syncd.errors import ConfigError
from syncd.model import SourceFacts, SourceSettings, UnreadableSettings
from syncd.schema import Model, Table
from syncd.sources.codec import Json, SettingsCodec
from syncd.sources.factory import Machine, SourceFactory
from syncd.sources.table import SourceTable

S = TypeVar("S", bound=SourceSettings)


@dataclass(frozen=True, slots=True)
class AddCommand:
    """`syncd sources add TYPE`."""

    help: str
    add_arguments: Callable[[ArgumentParser], None]
    """Adds what this type takes beside `--watch`, `--database` and `--model`."""
    settings: Callable[[Namespace], Json]
    """Returns the settings as the API takes them."""


@dataclass(frozen=True, slots=True)
class ObjectRules(Generic[S]):
    """How a run over one object is asked for, where a type has runs over single objects."""

    bucket: Callable[[S], str]
    """Returns what holds the objects."""
    prefix: Callable[[S], str]
    """Returns what every key of the source begins with."""
    is_reserved: Callable[[str], bool]
    """Tells whether callers may not set a metadata key."""


@dataclass(frozen=True, slots=True)
class SourceType(Generic[S]):
    """One type of sources."""

    name: str
    """The published name: the API's field, the configuration's `type`, the command line's TYPE."""
    codec: SettingsCodec[S]
    shape: type[Model]
    """The settings as the API takes and shows them."""
    factory: Callable[[Machine], SourceFactory[S]]
    facts: SourceFacts = field(default_factory=SourceFacts)
    is_published: bool = False
    """Whether the published API document has the type; the others are additions of ours."""
    table: type[SourceTable] | None = None
    """The source as a table of the configuration file; None: it cannot be declared."""
    sections: Mapping[str, type[Table]] = field(default_factory=dict[str, type[Table]])
    """The configuration's tables about all sources of this type, by name."""
    add_command: AddCommand | None = None
    objects: ObjectRules[S] | None = None
    migrations: str | None = None
    """The package whose `migrations` folder holds the type's own tables."""


class SourceTypes:
    """The types that one program knows, in the order in which people are told of them."""

    def __init__(self, *types: SourceType[Any]) -> None:
        """Raises ValueError where two types share a name."""
        self._types = {known.name: known for known in types}
        if len(self._types) != len(types):
            raise ValueError("two source types share a name")

    def __iter__(self) -> Iterator[SourceType[Any]]:
        return iter(self._types.values())

    def __getitem__(self, name: str) -> SourceType[Any]:
        """Return one type. Raises ConfigError when there is none of this name."""
        try:
            return self._types[name]
        except KeyError:
            raise ConfigError(f"this syncd has no source type {name!r}; use the one that made the source") from None

    @property
    def names(self) -> tuple[str, ...]:
        """The published names."""
        return tuple(self._types)

    @property
    def migrations(self) -> Sequence[str]:
        """The packages with tables of the types' own."""
        return [known.migrations for known in self if known.migrations]

    def facts_of(self, name: str) -> SourceFacts:
        """Return the facts of a type. Raises ConfigError for an unknown one."""
        return self[name].facts

    def read_settings(self, name: str, values: Json) -> SourceSettings:
        """Return JSON values as the settings of a type. Raises ConfigError, ValueError."""
        return self[name].codec.read(values)

    def write_settings(self, name: str, settings: SourceSettings, is_declared: bool) -> Json:
        """Return settings as JSON values. Raises ConfigError for an unknown type."""
        if isinstance(settings, UnreadableSettings):
            return settings.values
        return self[name].codec.write(settings, is_declared)
