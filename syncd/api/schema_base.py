"""The shapes shared by all API models: strict in what they take, silent about fields they do not know."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")
INT64_MAX = 2**63 - 1


class Model(BaseModel):
    """A JSON object of the API. Strict: no value is converted into another type."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, use_attribute_docstrings=True)


def _without_null(schema: dict[str, Any]) -> None:
    """Publish a field that may be left out but not be null."""
    schema.pop("default", None)
    kept = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
    schema.update(kept[0] if len(kept) == 1 else {"anyOf": kept})


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null; leave it out instead")
    return value


def _unique(values: list[str] | None) -> list[str] | None:
    if values is not None and len(set(values)) != len(values):
        raise ValueError("must not name anything twice")
    return values


def _count(value: Any) -> Any:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 1000):
            raise ValueError("must be a whole number, 0 or more")
        return min(int(value), INT64_MAX)
    return value


Omittable = Annotated[T | None, BeforeValidator(_given), Field(json_schema_extra=_without_null)]
"""May be absent (None), must not be null."""

UniqueStrings = Annotated[list[str], AfterValidator(_unique), Field(json_schema_extra={"uniqueItems": True})]

Count = Annotated[int, Field(ge=0), BeforeValidator(_count)]
"""A number in a query string; beyond 64 bits it means as many as there are."""

Int32 = Annotated[int, Field(ge=0, le=2**31 - 1, json_schema_extra={"format": "int32"})]

Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, in UTC."""


def seconds(value: float | None) -> float | None:
    """Return a duration fit for JSON: finite, rounded to milliseconds."""
    return None if value is None or not math.isfinite(value) else round(value, 3)
