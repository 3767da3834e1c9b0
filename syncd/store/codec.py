"""Rows to model dataclasses and back; JSON columns are compact and key-sorted, so equal values have equal text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Protocol

from syncd.json_types import JsonObject
from syncd.model import (
    Chunking,
    DamagedSettings,
    DocumentWarning,
    Embedding,
    EmbeddingTask,
    SourceFacts,
    SourceRecord,
    SourceSettings,
    UnreadableSettings,
)
from syncd.model.warnings import warning_values, warnings_of
from syncd.store.checked_tables import SOURCE_ROWS, is_as_stored

SOURCE_COLUMNS = "id, type, database, settings, embedding, chunking, created_at, name, id_root, given_name, paused_at"
SELECTED_SOURCE = f"SELECT {SOURCE_COLUMNS}, {SOURCE_ROWS.standing()} FROM sources"
SourceRow = tuple[str, str, str, str, str, str, float, str | None, str, str | None, float | None, int | None]
"""What it selects."""
DAMAGED_SOURCE = (
    "its row in the state database is damaged, and nothing is done of it: start the daemon again if the configuration file declares "
    "it; if not, remove it with its documents (syncd sources remove --purge) and add it again, which embeds nothing again"
)
"""What is wrong with a source whose row cannot be set right."""


class SourceCodec(Protocol):
    """What the store needs to know about the source types."""

    @property
    def migrations(self) -> Sequence[str]:
        """The packages whose `migrations` folder holds the types' own tables."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The types' names."""
        ...

    def facts_of(self, name: str) -> SourceFacts:
        """Return the facts of a type."""
        ...

    def read_settings(self, name: str, values: JsonObject) -> SourceSettings:
        """Return stored JSON values as the type's settings. Raises ConfigError for an unknown type, ValueError for others."""
        ...

    def write_settings(self, name: str, settings: SourceSettings, is_declared: bool) -> JsonObject:
        """Return settings as the JSON values to store."""
        ...


def dumps(value: object) -> str:
    """Return canonical JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def warnings_to_json(warnings: Sequence[DocumentWarning]) -> str:
    """Return the JSON column of a document's warnings."""
    return dumps(warning_values(warnings))


def warnings_from_json(text: str) -> tuple[DocumentWarning, ...]:
    """Return the warnings in a column written by `warnings_to_json`."""
    return warnings_of(json.loads(text))


def moment(seconds: float | None) -> datetime | None:
    """Return a stored time as an aware datetime."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def embedding_values(embedding: Embedding) -> dict[str, Any]:
    """Return an embedding configuration as JSON values; of whole vectors they are what earlier versions wrote."""
    values = asdict(embedding)
    if embedding.dimensions is None:
        del values["dimensions"]
    return values


def embedding_to_json(embedding: Embedding) -> str:
    """Return the JSON column of an embedding configuration."""
    return dumps(embedding_values(embedding))


def embedding_from_json(text: str) -> Embedding:
    """Return the embedding in a column written by `embedding_to_json`."""
    values: dict[str, Any] = json.loads(text)
    task = values.pop("task", None)
    return Embedding(**values, task=EmbeddingTask(**task) if task else None)


def settings_from_json(kind: str, text: str, types: SourceCodec) -> SourceSettings:
    """Return stored settings, or UnreadableSettings. Raises ConfigError for an unknown type."""
    values: JsonObject = {}
    try:
        values = json.loads(text)
        return types.read_settings(kind, values)
    except ValueError as error:
        fix = "delete the source and create it again"
        return UnreadableSettings(values=values, reason=f"its stored settings cannot be read; {fix}: {error}")


def source_from_row(row: SourceRow, types: SourceCodec) -> SourceRecord:
    """Return the SourceRecord in a row of SELECTED_SOURCE: one that is damaged for good has DamagedSettings.

    Raises ConfigError for an unknown type.
    """
    source_id, kind, database, settings, embedding, chunking, created_at, declared, id_root, given, paused_at = row[:-1]
    if not is_as_stored(row[-1]):
        likely = get_close_matches(kind, types.names, n=1, cutoff=0)[0]
        return SourceRecord(
            id=source_id,
            type=likely,
            database=database,
            settings=DamagedSettings(values={}, reason=DAMAGED_SOURCE),
            embedding=Embedding(),
            chunking=Chunking(),
            created_at=datetime.fromtimestamp(0, UTC),
            name=declared or given,
            facts=types.facts_of(likely),
            id_root=id_root,
            is_declared=declared is not None,
        )
    return SourceRecord(
        id=source_id,
        type=kind,
        database=database,
        settings=settings_from_json(kind, settings, types),
        embedding=embedding_from_json(embedding),
        chunking=Chunking(**json.loads(chunking)),
        created_at=datetime.fromtimestamp(created_at, UTC),
        name=declared or given,
        facts=types.facts_of(kind),
        id_root=id_root,
        is_declared=declared is not None,
        paused_at=moment(paused_at),
    )
