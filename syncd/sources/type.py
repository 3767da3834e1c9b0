"""What a source type is: everything about it that does not depend on one source's settings or on the machine.

A type is a folder with a module that defines one `SourceType`, and a line in the registry. Code that handles sources of
any type (store, API, configuration, command line, triggers) uses this and refers to no type by name. Importing a type is
cheap: what opens its sources is imported when the daemon builds its factory.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from syncd.errors import ConfigError
from syncd.json_types import JsonObject
from syncd.model import SourceFacts, SourceSettings, UnreadableSettings
from syncd.schema import Model, Table
from syncd.sources.codec import SettingsCodec
from syncd.sources.factory import Machine, SourceFactory
from syncd.sources.table import SourceTable

S = TypeVar("S", bound=SourceSettings)


@dataclass(frozen=True, slots=True)
class AddCommand:
    """`syncd sources add TYPE`."""

    help: str
    add_arguments: Callable[[ArgumentParser], None]
    """Adds this type's own arguments, besides `--watch`, `--database` and `--model`."""
    settings: Callable[[Namespace], JsonObject]
    """Returns the settings in the API's format. Raises SyncdError, OSError, UnicodeDecodeError."""
    alias: str = ""
    """A shorter word for the type's name."""


@dataclass(frozen=True, slots=True)
class ObjectRules(Generic[S]):
    """How runs over single objects are requested, for types that have them."""

    bucket: Callable[[S], str]
    """Returns the name of the container of the objects."""
    prefix: Callable[[S], str]
    """Returns the prefix of every key of the source."""
    is_reserved: Callable[[str], bool]
    """Returns whether a metadata key is reserved, so that callers may not set it."""


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
    """Whether the published API has this type; the others are our additions."""
    table: type[SourceTable] | None = None
    """The source's table in the configuration file; None: it cannot be declared."""
    sections: Mapping[str, type[Table]] = field(default_factory=dict[str, type[Table]])
    """The configuration's tables about all sources of this type, by name."""
    add_command: AddCommand | None = None
    objects: ObjectRules[S] | None = None
    migrations: str | None = None
    """The package whose `migrations` folder holds the type's own tables."""


class SourceTypes:
    """The registered source types, in the order in which they are listed to people."""

    def __init__(self, *types: SourceType[Any]) -> None:
        """Raises ValueError if two types share a name."""
        self._types = {known.name: known for known in types}
        if len(self._types) != len(types):
            raise ValueError("two source types share a name")

    def __iter__(self) -> Iterator[SourceType[Any]]:
        return iter(self._types.values())

    def __getitem__(self, name: str) -> SourceType[Any]:
        """Return one type. Raises ConfigError if there is none with this name."""
        try:
            return self._types[name]
        except KeyError:
            raise ConfigError(
                f"this version of syncd has no source type {name!r}; use the version that created the source"
            ) from None

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

    def read_settings(self, name: str, values: JsonObject) -> SourceSettings:
        """Return JSON values as the settings of a type. Raises ConfigError, ValueError."""
        return self[name].codec.read(values)

    def write_settings(self, name: str, settings: SourceSettings, is_declared: bool) -> JsonObject:
        """Return settings as JSON values. Raises ConfigError for an unknown type."""
        if isinstance(settings, UnreadableSettings):
            return settings.values
        return self[name].codec.write(settings, is_declared)
