"""JSON as a type: what `json.loads` returns and `json.dumps` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeGuard

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]


def json_object(value: Json) -> JsonObject:
    """Return `value` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a value that came out of JSON is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Tell whether a value that came out of JSON is an array."""
    return isinstance(value, list)
