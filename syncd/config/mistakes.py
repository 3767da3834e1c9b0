"""Says in one line what is wrong with a configuration: every wrong key, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from syncd.schema import nearest, unknown


def describe_errors(error: ValidationError, file: Path | None, model: type[BaseModel]) -> str:
    """Return the line for what pydantic found wrong with `file`, None being the environment, when it made a `model` of it."""
    return f"{file or 'the environment'}: " + "; ".join(
        _described(item, model) for item in error.errors(include_url=False)
    )


def _described(item: ErrorDetails, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in item["loc"] if not str(part).startswith("function-"))
    message = item["msg"].removeprefix("Value error, ")
    match item["type"]:
        case "extra_forbidden":
            meant = nearest(str(item["loc"][-1]), _keys_at(model, item["loc"][:-1]))
            hint = f"did you mean {meant!r}?" if meant else "`syncd config template` prints all keys"
            return f"{key}: unknown key; {hint}"
        case "union_tag_invalid":
            given = item.get("ctx", {})
            known = [name.strip("' ") for name in str(given["expected_tags"]).split(",")]
            return f"{key}: {unknown('type', str(given['tag']), known)}"
        # The value that was given is then the whole table, secrets included.
        case "missing" | "union_tag_not_found":
            missing = ".type" if item["type"] == "union_tag_not_found" else ""
            return f"{key}{missing}: this key is required; give it"
        case "value_error":
            return f"{key}: {message}" if key else message
        case _:
            return f"{key} = {item['input']!r}: {message[0].lower()}{message[1:]}"


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> Iterator[str]:
    """Yield the keys that a table may have, by its place in the file as pydantic says it: with types of sources and numbers between the keys."""
    tables = [model]
    for part in place:
        inner = [
            found
            for table in tables
            if part in table.model_fields
            for found in _models_in(_annotation(table, str(part)))
        ]
        tables = inner or [table for table in tables if part in _tags(table)] or tables
    for table in tables:
        yield from table.model_fields


def _annotation(table: type[BaseModel], key: str) -> Any:
    return table.model_fields[key].annotation


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a key's value may be, or may be a collection of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _tags(table: type[BaseModel]) -> tuple[Any, ...]:
    """Return what the key `type` of a table may be."""
    return get_args(_annotation(table, "type")) if "type" in table.model_fields else ()
