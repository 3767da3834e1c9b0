"""What all models of the API's JSON and of the configuration file's tables share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator
from pydantic.config import JsonDict

from syncd.json_types import Json, json_object
from syncd.quoting import shown

T = TypeVar("T")
INT64_MAX = 2**63 - 1
_UNWRITTEN = re.compile(r"[\x00-\x20\x7f]")
"""White space and control characters, some of which `urlsplit` drops before it looks."""


class Model(BaseModel):
    """A JSON object of the API. Strict: values are not converted between types; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, use_attribute_docstrings=True)


class OwnModel(Model):
    """A JSON object of our own additions: unknown fields are rejected, so that a misspelt field is not silently ignored."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def has_them_all(cls, value: Json) -> Json:
        """Reject unknown fields, suggesting the nearest known one."""
        for name in json_object(value):
            if name not in cls.model_fields:
                raise ValueError(unknown("field", name, cls.model_fields))
        return value


class ExtendedModel(Model):
    """A published JSON object with additions of ours. Unknown fields are ignored, as published, except misspelt names of
    additions, whose sender would not get what it asked for.
    """

    ADDITIONS: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def nearly_additions(cls, value: Json) -> Json:
        """Reject misspelt names of additions."""
        for name in json_object(value):
            if name not in cls.model_fields and nearest(name, cls.ADDITIONS):
                raise ValueError(unknown("field", name, cls.ADDITIONS))
        return value


M = TypeVar("M", bound=BaseModel)


def made_model(
    name: str, base: type[M], doc: str | None, fields: dict[str, Any], config: ConfigDict | None = None
) -> type[M]:
    """Return a model made at run time: `base` with more or other `fields`, each (type, default) as `pydantic.create_model` takes them. Their
    docstrings are not looked for: there is no source to find them in, and pydantic would search every caller's module for it.
    """
    options: Any = {**(config or {}), "use_attribute_docstrings": False}
    return create_model(name, __base__=base, __doc__=doc, __cls_kwargs__=options, **fields)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was probably meant to be."""
    by_small_letters = {one.lower(): one for one in known}
    return next(
        (by_small_letters[one] for one in get_close_matches(name[:100].lower(), by_small_letters, 1, 0.75)), None
    )


def guess(name: str, known: Iterable[str]) -> str:
    """Return the beginning of a sentence that names what `name` was probably meant to be; '' where nothing is near."""
    meant = nearest(name, known)
    return f"did you mean {meant!r}? " if meant else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the error message for an unknown name, with the nearest known one or all of them."""
    listed = list(known)
    if meant := nearest(name, listed):
        return f"unknown {kind} {shown(name)}; did you mean {meant!r}?"
    return f"unknown {kind} {shown(name)}; known are: {', '.join(listed) or 'none'}"


class Table(BaseModel):
    """A table of the configuration file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _without_null(schema: JsonDict) -> None:
    """Document a field that may be omitted but not be null."""
    schema.pop("default", None)
    offered = schema.pop("anyOf", None)
    kept = [option for option in offered if option != {"type": "null"}] if isinstance(offered, list) else []
    only = kept[0] if len(kept) == 1 else None
    schema.update(only if isinstance(only, dict) else {"anyOf": kept})


def _given(value: T | None) -> T:
    if value is None:
        raise ValueError("must not be null; omit it instead")
    return value


def _unique(values: list[str] | None) -> list[str] | None:
    if values is not None and len(set(values)) != len(values):
        raise ValueError("must not contain duplicates")
    return values


def _own_path(path: Path) -> Path:
    return path.expanduser().absolute()


def http_parts(url: str) -> SplitResult | None:
    """Return the parts of an address of HTTP; None where it names no host, or a port that there cannot be, or has white space."""
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_whole and not _UNWRITTEN.search(url) else None


def with_place(url: str) -> str:
    """Return an address of HTTP. Raises ValueError, not quoting it, since it may hold a secret, if nothing can be reached at it."""
    if http_parts(url) is None:
        raise ValueError("names no host, or no port from 1 to 65535; give an address such as http://127.0.0.1:8080")
    return url


def _count(value: object) -> object:
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 1000):
            raise ValueError("must be a whole number, 0 or more")
        return min(int(value), INT64_MAX)
    return value


Omittable = Annotated[T | None, BeforeValidator(_given), Field(json_schema_extra=_without_null)]
"""May be absent (None), must not be null."""

UniqueStrings = Annotated[list[str], AfterValidator(_unique), Field(json_schema_extra={"uniqueItems": True})]

QueryCount = Annotated[int, Field(ge=0), BeforeValidator(_count)]
"""A number in a query string; beyond 64 bits it means no limit."""

Int32 = Annotated[int, Field(ge=0, le=2**31 - 1, json_schema_extra={"format": "int32"})]

Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, in UTC."""

BaseUrl = Annotated[str, Field(pattern=r"^https?://[^/@\s]+(/[^?#\s]*)?$"), AfterValidator(with_place)]
"""An address that paths are put behind: no user, no query."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Of an environment variable."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Of what people call sources."""

SparseKey = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
"""The metadata key of sparse vectors."""

OwnPath = Annotated[Path, AfterValidator(_own_path)]
"""A path on the daemon's machine; `~` is the home folder."""


def seconds(value: float | None) -> float | None:
    """Return a duration for JSON: rounded to milliseconds, None unless finite."""
    return None if value is None or not math.isfinite(value) else round(value, 3)
