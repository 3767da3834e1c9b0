"""Rows of invocations to model dataclasses and back; also the SQL conditions on requests.

The column `request` has only what differs from the defaults: `{}` is the whole source. Fields of other versions of syncd
are ignored.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from syncd.model import (
    Chunking,
    ConfirmDeletes,
    Counts,
    DeleteDocuments,
    Embedding,
    EmbeddingTask,
    GitRef,
    Invocation,
    LeaveCollection,
    OneObject,
    Origin,
    Request,
    SomeKeys,
    State,
    Target,
    Upload,
    WholeSource,
)
from syncd.store.checked_tables import INVOCATION_ROWS, require_as_stored
from syncd.store.codec import dumps, embedding_values, moment

T = TypeVar("T")

INVOCATION_COLUMNS = (
    "id, source_id, database, collection, origin, request, state, created_at, started_at, finished_at, error, counts, "
    f"attempts, bugs, not_before, {INVOCATION_ROWS.standing()}"
)

IS_DRY_RUN = "json_extract(request, '$.dry_run') IS NOT NULL"
"""SQL: the run is a dry run."""
IS_WHOLE_RUN = (
    "object_key IS NULL AND json_extract(request, '$.keys') IS NULL AND json_extract(request, '$.dry_run') IS NULL "
    "AND json_extract(request, '$.leave') IS NULL"
)
"""SQL: the run is over the whole source and not a dry run."""
UPLOADED_FILE = "json_extract(request, '$.file')"
"""SQL: the name of the uploaded file in the upload folder."""


def invocation_from_row(row: sqlite3.Row | tuple[Any, ...]) -> Invocation:
    """Return the Invocation in a row of INVOCATION_COLUMNS. Raises DamagedRowError."""
    (
        ident,
        source_id,
        database,
        collection,
        origin,
        request,
        state,
        created,
        started,
        finished,
        error,
        counts,
        attempts,
        bugs,
        not_before,
        standing,
    ) = row
    require_as_stored(standing)
    return Invocation(
        id=ident,
        source_id=source_id,
        target=Target(database, collection),
        origin=Origin(origin),
        request=request_from_json(request),
        state=State(state),
        created_at=datetime.fromtimestamp(created, UTC),
        started_at=moment(started),
        finished_at=moment(finished),
        error=error,
        counts=counts_from_json(counts),
        attempts=attempts,
        bugs=bugs,
        not_before=moment(not_before or None),
    )


def counts_from_json(text: str) -> Counts:
    """Return the counts in a column, ignoring fields of other versions."""
    values: Mapping[str, int] = json.loads(text)
    return Counts(**{name: value for name, value in values.items() if name in Counts.__dataclass_fields__})


def request_to_json(request: Request) -> str:
    """Return a request as canonical JSON, so that equal requests have equal text."""
    return dumps(_values(request))


def request_from_json(text: str) -> Request:
    """Return the request in a column written by `request_to_json`."""
    values: Mapping[str, Any] = json.loads(text)
    object_key, keys = values.get("object_key"), values.get("keys")
    if "file" in values:
        return _upload(values)
    if object_key and keys in (None, [object_key]):
        return OneObject(object_key, values.get("custom_id"), values.get("metadata"))
    if earlier := values.get("confirm_deletes"):
        return ConfirmDeletes(earlier, _whole(values))
    if "leave" in values:
        return LeaveCollection()
    if "delete" in values:
        return DeleteDocuments(tuple(keys or ()))
    return SomeKeys(tuple(keys), _whole(values), bool(values.get("alone"))) if keys else _whole(values)


def _values(request: Request) -> dict[str, Any]:
    match request:
        case WholeSource():
            ref = _given(asdict(request.ref)) if request.ref else None
            flags = {name: True for name in ("dry_run", "fan_out") if getattr(request, name)}
            times = {"follow_up": request.follow_up or None, "waiting_since": request.waiting_since}
            return _given({"ref": ref, **times}) | flags
        case SomeKeys():
            return {**_values(request.of), "keys": list(request.only), **({"alone": True} if request.alone else {})}
        case ConfirmDeletes():
            return {**_values(request.of), "confirm_deletes": request.invocation_id}
        case LeaveCollection():
            return {"leave": True}
        case DeleteDocuments():
            return {"keys": list(request.only), "delete": True}
        case OneObject():
            return _given({"object_key": request.key, "custom_id": request.custom_id, "metadata": request.metadata})
        case Upload():
            return _given(
                {
                    "file": request.file,
                    "object_key": request.filename,
                    "sha256": request.sha256,
                    "size_bytes": request.size_bytes,
                    "content_type": request.content_type,
                    "overrides_suffix": request.overrides_suffix or None,
                    "custom_id": request.custom_id,
                    "metadata": request.metadata,
                    "embedding": request.embedding and embedding_values(request.embedding),
                    "chunking": request.chunking and asdict(request.chunking),
                }
            )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _whole(values: Mapping[str, Any]) -> WholeSource:
    return WholeSource(
        ref=_read(GitRef, values.get("ref")),
        dry_run=bool(values.get("dry_run")),
        fan_out=bool(values.get("fan_out")),
        follow_up=int(values.get("follow_up") or 0),
        waiting_since=values.get("waiting_since"),
    )


def _upload(values: Mapping[str, Any]) -> Upload:
    plain = ("file", "sha256", "size_bytes", "content_type", "overrides_suffix", "custom_id", "metadata")
    embedding: Mapping[str, Any] | None = values.get("embedding")
    return Upload(
        **{name: values[name] for name in plain if name in values},
        filename=values.get("object_key") or values["file"],
        embedding=_read(Embedding, embedding and {**embedding, "task": _read(EmbeddingTask, embedding.get("task"))}),
        chunking=_read(Chunking, values.get("chunking")),
    )


def _read(kind: type[T], values: Mapping[str, Any] | None) -> T | None:
    """Return stored values as a dataclass, without fields of another version."""
    if not values:
        return None
    fields: Mapping[str, Any] = getattr(kind, "__dataclass_fields__")  # noqa: B009 - pyright knows no such attribute
    return kind(**{name: value for name, value in values.items() if name in fields})
