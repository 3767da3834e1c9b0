"""Filters in Chroma's syntax as filters of Qdrant. Pure.

They mean the same, but for two things: a condition on an array holds if it holds of one of its values, and Qdrant has no
regular expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qdrant_client import models

from syncd.errors import PermanentError
from syncd.json_types import is_array, is_object

_COMPARISONS = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
_EQUALITIES = {"$eq": False, "$ne": True, "$in": False, "$nin": True, "$contains": False, "$not_contains": True}
"""Operators, and whether they hold where the values are not equal."""


def payload_filter(
    where: Mapping[str, object] | None, where_document: Mapping[str, object] | None
) -> models.Filter | None:
    """Return both filters as one, None for none. Raises PermanentError for what is no filter, or not one that Qdrant has."""
    conditions = [_condition(where, _of_metadata)] if where else []
    conditions += [_condition(where_document, _of_document)] if where_document else []
    return models.Filter(must=conditions) if conditions else None


def _condition(where: Mapping[str, object], single: Callable[[str, object], models.Condition]) -> models.Condition:
    if len(where) != 1:
        raise PermanentError(f"a filter has one key, not {len(where)}: combine conditions with $and or $or")
    ((key, wanted),) = where.items()
    if key not in ("$and", "$or"):
        return single(key, wanted)
    if not is_array(wanted) or not wanted:
        raise PermanentError(f"{key} needs a list of filters")
    parts: list[models.Condition] = []
    for part in wanted:
        if not is_object(part):
            raise PermanentError(f"{key} needs a list of filters")
        parts.append(_condition(part, single))
    return models.Filter(must=parts) if key == "$and" else models.Filter(should=parts)


def _of_metadata(key: str, wanted: object) -> models.Condition:
    operator, value = _operator(wanted) if is_object(wanted) else ("$eq", wanted)
    path = _path(key)
    if operator in _COMPARISONS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PermanentError(f"{operator} of {key!r} needs a number")
        return models.FieldCondition(key=path, range=models.Range(**{_COMPARISONS[operator]: value}))
    if operator not in _EQUALITIES:
        raise PermanentError(f"{operator!r} is no operator of a filter")
    values = value if operator in ("$in", "$nin") and is_array(value) else [value]
    return _unless(_EQUALITIES[operator], models.Filter(should=_equal(key, path, values)))


def _of_document(operator: str, wanted: object) -> models.Condition:
    if operator not in ("$contains", "$not_contains") or not isinstance(wanted, str):
        raise PermanentError(
            f"where_document takes $contains and $not_contains, with a text, but not {operator!r}: "
            "Qdrant has no regular expressions, for which syncd has the search mode regex"
        )
    # Without a full-text index, which syncd does not make, this finds any part of the text.
    found = models.FieldCondition(key="document", match=models.MatchText(text=wanted))
    return _unless(operator == "$not_contains", found)


def _operator(wanted: Mapping[str, object]) -> tuple[str, object]:
    if len(wanted) != 1:
        raise PermanentError(f"a condition has one operator, not {len(wanted)}: combine conditions with $and")
    return next(iter(wanted.items()))


def _equal(key: str, path: str, values: Sequence[object]) -> list[models.Condition]:
    """Return conditions of which one has to hold: whole numbers, strings and booleans match themselves, other numbers a range."""
    if not values:
        raise PermanentError(f"the condition on {key!r} has no value to compare with")
    names = [value for value in values if isinstance(value, str)]
    found: list[models.Condition] = []
    if names:
        found.append(models.FieldCondition(key=path, match=models.MatchAny(any=names)))
    for value in values:
        if isinstance(value, bool):
            found.append(models.FieldCondition(key=path, match=models.MatchValue(value=value)))
        elif isinstance(value, int | float):
            found.append(models.FieldCondition(key=path, range=models.Range(gte=value, lte=value)))
        elif not isinstance(value, str):
            raise PermanentError(f"the condition on {key!r} compares with {value!r}: use strings, numbers or booleans")
    return found


def _unless(is_negated: bool, condition: models.Condition) -> models.Condition:
    return models.Filter(must_not=[condition]) if is_negated else condition


def _path(key: str) -> str:
    """Return where a row has the metadata (lib/segment/src/json_path/parse.rs, Qdrant 1.19)."""
    if key.startswith("$") or any(character in '"\\' for character in key):
        raise PermanentError(
            f"Qdrant cannot filter by metadata {key!r}: no key has a $ at its start, a quote or a backslash"
        )
    return f'metadata."{key}"'
