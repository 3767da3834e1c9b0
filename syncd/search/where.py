"""Evaluates common metadata filters here, because Chroma would have to scan its whole collection to check a few hits.

Equality and membership of strings, whole numbers and booleans, and `$and` / `$or` of those, mean the same everywhere;
whatever else a filter says is left to Chroma, its errors included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

_FITTING: Mapping[type, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int, float)}

Test = Callable[[Mapping[str, Any]], bool]


def in_languages(where: Mapping[str, Any] | None, languages: Sequence[str]) -> Mapping[str, Any] | None:
    """Return a filter that also wants one of these languages; none: any."""
    if not languages:
        return where
    wanted = {"language": {"$in": list(languages)}}
    return {"$and": [wanted, where]} if where else wanted


def simple_filter(where: Mapping[str, Any]) -> Test | None:
    """Return the filter as a test of a chunk's metadata, or None where only Chroma can tell."""
    if len(where) != 1:
        return None
    ((key, wanted),) = where.items()
    if key in ("$and", "$or"):
        return _several(key, wanted)
    if isinstance(wanted, Mapping):
        conditions = cast("Mapping[str, Any]", wanted)
        if len(conditions) != 1:
            return None
        ((operator, value),) = conditions.items()
        values = value if operator == "$in" else [value] if operator == "$eq" else None
    else:
        values = [wanted]
    return None if key.startswith("$") else _one_of(key, values)


def _several(operator: str, parts: object) -> Test | None:
    if not isinstance(parts, list):
        return None
    filters = cast("list[Any]", parts)
    tests = [simple_filter(cast("Mapping[str, Any]", part)) for part in filters if isinstance(part, Mapping)]
    known = [test for test in tests if test is not None]
    if len(known) < 2 or len(known) < len(filters):
        return None
    combine = all if operator == "$and" else any
    return lambda metadata: combine(test(metadata) for test in known)


def _one_of(key: str, values: object) -> Test | None:
    if not isinstance(values, list) or not values:
        return None
    wanted = cast("list[Any]", values)
    for kind, fitting in _FITTING.items():
        if all(type(value) is kind for value in wanted):
            chosen = frozenset(wanted)
            return lambda metadata: type(metadata.get(key)) in fitting and metadata[key] in chosen
    return None
