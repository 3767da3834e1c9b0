"""Evaluates common metadata filters here, because Chroma would have to scan its whole collection to check a few hits.

Equality and membership of strings, whole numbers and booleans, and `$and` / `$or` of those, mean the same everywhere but for
lists in metadata, of which the store says how it compares them; whatever else a filter says is left to Chroma, its errors included. Large ones are not: chromadb 1.5.9 makes an expression of SQLite
of each filter, which may be 1,000 conditions deep and have 32,766 values; of some 8,000 conditions its process dies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from syncd.json_types import Json, JsonObject

MAX_CONDITIONS = 500
MAX_VALUES = 10_000
_FITTING: Mapping[type, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int, float)}

Test = Callable[[JsonObject], bool]


def require_small(where: JsonObject) -> JsonObject:
    """Return a filter of metadata or documents. Raises ValueError where it has too many conditions or values."""
    conditions = list(_conditions(where))
    if len(conditions) > MAX_CONDITIONS:
        raise ValueError(f"a filter has at most {MAX_CONDITIONS} conditions, this one {len(conditions):,}")
    if (values := sum(map(_values, conditions))) > MAX_VALUES:
        raise ValueError(f"a filter has at most {MAX_VALUES:,} values, this one {values:,}")
    return where


def _conditions(where: JsonObject) -> Iterator[Json]:
    for name, wanted in where.items():
        if name in ("$and", "$or") and isinstance(wanted, list):
            for part in wanted:
                yield from _conditions(part) if isinstance(part, Mapping) else (part,)
        else:
            yield wanted


def _values(wanted: Json) -> int:
    inner = wanted.values() if isinstance(wanted, Mapping) else wanted if isinstance(wanted, list) else None
    return 1 if inner is None else sum(map(_values, inner))


def in_languages(where: JsonObject | None, languages: Sequence[str]) -> JsonObject | None:
    """Return a filter that also wants one of these languages; none: any."""
    if not languages:
        return where
    wanted = {"language": {"$in": list(languages)}}
    return {"$and": [wanted, where]} if where else wanted


def simple_filter(where: JsonObject, *, looks_into_lists: bool) -> Test | None:
    """Return the filter as a test of a chunk's metadata, or None where only the store can tell; see VectorStore.looks_into_lists."""
    if len(where) != 1:
        return None
    ((key, wanted),) = where.items()
    if key in ("$and", "$or"):
        return _several(key, wanted, looks_into_lists)
    if isinstance(wanted, Mapping):
        if len(wanted) != 1:
            return None
        ((operator, value),) = wanted.items()
        values = value if operator == "$in" else [value] if operator == "$eq" else None
    else:
        values = [wanted]
    return None if key.startswith("$") else _one_of(key, values, looks_into_lists)


def _several(operator: str, parts: Json, looks_into_lists: bool) -> Test | None:
    if not isinstance(parts, list):
        return None
    tests = [simple_filter(part, looks_into_lists=looks_into_lists) for part in parts if isinstance(part, Mapping)]
    known = [test for test in tests if test is not None]
    if len(known) < 2 or len(known) < len(parts):
        return None
    combine = all if operator == "$and" else any
    return lambda metadata: combine(test(metadata) for test in known)


def _one_of(key: str, wanted: Json, looks_into_lists: bool) -> Test | None:
    if not isinstance(wanted, list):
        return None
    kinds = {type(value) for value in wanted}
    fitting = _FITTING.get(kinds.pop()) if len(kinds) == 1 else None
    if fitting is None:
        return None
    chosen = frozenset(wanted)

    def test(metadata: JsonObject) -> bool:
        found = metadata.get(key)
        values = found if looks_into_lists and isinstance(found, list) else [found]
        return any(type(value) in fitting and value in chosen for value in values)

    return test
