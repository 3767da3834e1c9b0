"""Evaluates common metadata filters here, because Chroma would have to scan its whole collection to check a few hits.

Equality and membership of strings, whole numbers and booleans, and `$and` / `$or` of those, mean the same everywhere;
whatever else a filter says is left to Chroma, its errors included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from syncd.json_types import Json, JsonObject

_FITTING: Mapping[type, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int, float)}

Test = Callable[[JsonObject], bool]


def in_languages(where: JsonObject | None, languages: Sequence[str]) -> JsonObject | None:
    """Return a filter that also wants one of these languages; none: any."""
    if not languages:
        return where
    wanted = {"language": {"$in": list(languages)}}
    return {"$and": [wanted, where]} if where else wanted


def simple_filter(where: JsonObject) -> Test | None:
    """Return the filter as a test of a chunk's metadata, or None where only Chroma can tell."""
    if len(where) != 1:
        return None
    ((key, wanted),) = where.items()
    if key in ("$and", "$or"):
        return _several(key, wanted)
    if isinstance(wanted, Mapping):
        if len(wanted) != 1:
            return None
        ((operator, value),) = wanted.items()
        values = value if operator == "$in" else [value] if operator == "$eq" else None
    else:
        values = [wanted]
    return None if key.startswith("$") else _one_of(key, values)


def _several(operator: str, parts: Json) -> Test | None:
    if not isinstance(parts, list):
        return None
    tests = [simple_filter(part) for part in parts if isinstance(part, Mapping)]
    known = [test for test in tests if test is not None]
    if len(known) < 2 or len(known) < len(parts):
        return None
    combine = all if operator == "$and" else any
    return lambda metadata: combine(test(metadata) for test in known)


def _one_of(key: str, values: Json) -> Test | None:
    if not isinstance(values, list) or not values:
        return None
    for kind, fitting in _FITTING.items():
        if all(type(value) is kind for value in values):
            chosen = frozenset(values)
            return lambda metadata: type(metadata.get(key)) in fitting and metadata[key] in chosen
    return None
