"""What may come with an uploaded file: an id, metadata, and how it becomes vectors and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncd.api import settings
from syncd.api.errors import bad_request
from syncd.api.requests import loads, validated
from syncd.api.schema import SourceChunkingConfig, SourceEmbeddingConfig
from syncd.api.services import Services
from syncd.chroma.naming import check_custom_id, check_metadata
from syncd.model import LINEAGE_KEYS, Chunking, Embedding, Metadata

RESERVED_PREFIX = "chroma_"
"""Of metadata keys, as uploads document it."""
RESERVED_KEYS = LINEAGE_KEYS | {"custom_id", "filename"}
"""What every uploaded chunk gets; an upload that set them would find its values replaced."""


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """What a form says beside its file; None where it says nothing."""

    custom_id: str | None
    metadata: Metadata | None
    embedding: Embedding | None
    chunking: Chunking | None


def upload_options(services: Services, given: Mapping[str, str]) -> UploadOptions:
    """Return what the fields of a form say. Raises RefusedError or PermanentError naming what is wrong."""
    return UploadOptions(
        custom_id=check_custom_id(given["custom_id"]) if "custom_id" in given else None,
        metadata=_metadata(given["metadata"]) if "metadata" in given else None,
        embedding=_embedding(services, given["embedding"]) if "embedding" in given else None,
        chunking=_chunking(given["chunking"]) if "chunking" in given else None,
    )


def _metadata(text: str) -> Metadata:
    values = loads(text.encode(), "metadata")
    if not isinstance(values, dict):
        raise bad_request("metadata must be a JSON object")
    return dict(check_metadata(values, lambda key: key.startswith(RESERVED_PREFIX) or key in RESERVED_KEYS))


def _embedding(services: Services, text: str) -> Embedding:
    config = validated(SourceEmbeddingConfig, loads(text.encode(), "embedding"))
    return settings.embedding(services, services.upload_embedding, config)


def _chunking(text: str) -> Chunking:
    return settings.chunking(validated(SourceChunkingConfig, loads(text.encode(), "chunking")))
