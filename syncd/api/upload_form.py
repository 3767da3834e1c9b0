"""The multipart form of `POST /api/v1/add-file`, as the published document describes it."""

from __future__ import annotations

from syncd.json_types import JsonObject
from syncd.model.limits import MAX_DOCUMENT_SIZE_BYTES

LENGTH_HEADER = "x-upload-content-length"


def _text(description: str, **limits: int) -> JsonObject:
    return {"type": "string", "description": description, **limits}


FORM: JsonObject = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["database_name", "collection_name", "file"],
                "properties": {
                    "database_name": _text("Database in which to index the file. Must come before `file`."),
                    "collection_name": _text("Target collection, created on first use. Must come before `file`."),
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "The file; its filename is the document's name.",
                    },
                    "custom_id": _text("Prefix of the chunk ids, instead of sha256(filename).", maxLength=120),
                    "metadata": _text(
                        "JSON object merged into every chunk's metadata; at most 16 KiB. Refused are chroma_* keys and those that say "
                        "where a chunk comes from: key, version, source_id, chunk_index, start_line, filename, …"
                    ),
                    "embedding": _text(
                        "JSON `SourceEmbeddingConfig`. Default: the collection's own, or for a new one the default model with "
                        "the task `generic_retrieval`, and SPLADE if its files are on the daemon's machine."
                    ),
                    "chunking": _text("JSON `SourceChunkingConfig`."),
                    "content_type": _text(
                        "MIME type; overrides the part's own and the one of the filename's suffix.", maxLength=512
                    ),
                },
            },
            "encoding": {"file": {"contentType": "application/octet-stream"}},
        }
    },
}

LENGTH_PARAMETER: JsonObject = {
    "name": LENGTH_HEADER,
    "in": "header",
    "description": "The file's size in bytes; enforced during the upload.",
    "required": True,
    "schema": {"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_DOCUMENT_SIZE_BYTES},
}
