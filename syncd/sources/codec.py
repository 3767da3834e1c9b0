"""A source type's settings as the JSON that the store keeps and the API shows, and back."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import TypeAdapter

from syncd.json_types import JsonObject
from syncd.model import SourceSettings

S = TypeVar("S", bound=SourceSettings)


class SettingsCodec(Generic[S]):
    """Reads and writes the settings of one type; keys are its field names.

    Fields that are None are omitted from the JSON, except that for declared sources the fields in `nulls` are written as null.
    """

    def __init__(self, settings: type[S], nulls: frozenset[str] = frozenset()) -> None:
        self.settings = settings
        self._adapter = TypeAdapter(settings)
        self._nulls = nulls

    def read(self, values: JsonObject) -> S:
        """Return JSON values as settings, ignoring unknown keys. Raises ValueError naming the field that is wrong."""
        return self._adapter.validate_python(values)

    def write(self, settings: S, is_declared: bool = False) -> JsonObject:
        """Return settings as JSON values; `read` inverts it."""
        nulls = self._nulls if is_declared else frozenset[str]()
        return _without_none(self._adapter.dump_python(settings, mode="json"), nulls)


def _without_none(values: JsonObject, nulls: frozenset[str]) -> JsonObject:
    return {
        name: _without_none(value, nulls) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None or name in nulls
    }
