"""Metadata files: `{"version": "chroma-v1", "id", "path", "target_collection_name"?, "metadata"?}`. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from syncd.chroma.naming import check_collection, check_custom_id, check_metadata, check_object_key
from syncd.errors import PermanentError
from syncd.json_types import Json, JsonObject
from syncd.model import Metadata, Scalar
from syncd.quoting import shown
from syncd.sources.s3.naming import is_metadata_file, is_standard_key

METADATA_VERSION = "chroma-v1"
METADATA_MAX_SIZE_BYTES = 64 * 1024
"""Four times the limit on an upload's metadata; a larger file is not a metadata file."""


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A metadata file's content: custom id, metadata and collection of the object at `path`."""

    id: str
    path: str
    collection: str = ""
    """'' is the source's own."""
    metadata: Metadata = field(default_factory=dict[str, Scalar])


def parse_metadata_file(key: str, content: bytes, prefix: str) -> MetadataFile:
    """Return the content of the metadata file at `key`.

    Raises PermanentError naming the file and what is wrong with it, such as a `path` outside the source's `prefix`.
    """
    try:
        return _parsed(content, prefix)
    except PermanentError as error:
        raise PermanentError(f"metadata file {shown(key)}: {error}") from error


def _parsed(content: bytes, prefix: str) -> MetadataFile:
    if len(content) > METADATA_MAX_SIZE_BYTES:
        raise PermanentError(f"larger than {METADATA_MAX_SIZE_BYTES} bytes")
    values = _json_object(content)
    if values.get("version") != METADATA_VERSION:
        raise PermanentError(f'"version" must be "{METADATA_VERSION}"')
    path = check_object_key(_text(values, "path"), prefix)
    if is_metadata_file(path):
        raise PermanentError(f'"path" names another metadata file, {shown(path)}')
    collection = values.get("target_collection_name")
    metadata = values.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise PermanentError('"metadata" must be an object')
    return MetadataFile(
        id=check_custom_id(_text(values, "id")),
        path=path,
        collection="" if collection is None else check_collection(_text(values, "target_collection_name")),
        metadata=check_metadata(metadata or {}, is_standard_key),
    )


def _json_object(content: bytes) -> JsonObject:
    try:
        # A byte order mark is what some editors put in front of UTF-8.
        values: Json = json.loads(content.decode("utf-8-sig"))
        # Half a surrogate pair can be spelt in JSON but neither stored nor sent.
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise PermanentError("not a JSON document in UTF-8") from error
    if not isinstance(values, dict):
        raise PermanentError("not a JSON object")
    return values


def _text(values: JsonObject, name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise PermanentError(f'"{name}" is required and must be a string')
    return value
